"""The models of a server at work, whatever the protocol.

`sources` are the models that can be loaded, `loaded_model` and `ensemble` a loaded
one, `execution` runs one batch, `repository` keeps the state of each model, and
`inference_core` puts all of it together.
"""
