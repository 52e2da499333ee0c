"""Servers that this machine can run, for `sonic serve` and a client's fallback.

`choice` names the engines: `mock`, the server in this process, and `triton`, NVIDIA's
tritonserver from a wheel, from PATH or in a container. Importing this loads none.
"""
