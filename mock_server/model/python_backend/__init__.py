"""Triton's python backend: ``model.py`` files, run as they are, in this process.

`backend` loads a file and starts its instances; `tensors`, `requests`, `responses` and
`config_builder` are what the file gets to know as ``triton_python_backend_utils``, put
together in `module`. Source of names and texts: triton-inference-server/python_backend
r24.10, and answers of a running server.
"""
