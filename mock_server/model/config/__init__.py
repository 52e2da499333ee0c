"""Models as Triton's ``ModelConfig``, and the other way round.

`text` reads ``config.pbtxt`` and JSON, `defaults` completes what a file leaves out,
`scheduling` translates queues, batching and sequences, `declaration` whole models.
"""
