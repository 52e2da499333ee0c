"""Which requests run when: queues, joined batches, sequences, and their threads.

`queue`, `batching` and `sequences` decide; they are told the time and never wait.
`workers` runs what they decide, one thread per instance. `threads` are those of the
protocols.
"""
