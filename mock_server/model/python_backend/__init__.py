"""Triton's python backend: ``model.py`` files, run unchanged, in this process.

`backend` loads a file and starts its instances. `tensors`, `messages` and `module` are
what the file imports as ``triton_python_backend_utils``. Source of names and texts:
triton-inference-server/python_backend r24.10, and answers of a running server.
"""
