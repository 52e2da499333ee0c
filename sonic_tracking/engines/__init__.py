"""Servers that this machine can run, for `sonic serve` and a client's fallback.

`choice` names the engines: `mock`, the server in this process, and `triton`, NVIDIA's
tritonserver from a wheel, from PATH or in a container. Neither is loaded before it is
started.
"""

from sonic_tracking.engines.triton import TritonServer
from sonic_tracking.engines.triton_command import TritonOptions
from sonic_tracking.engines.triton_installation import (
    TritonNotFoundError,
    find_triton,
)
from sonic_tracking.engines.triton_process import TritonFailedError, TritonStartError

__all__ = [
    "TritonFailedError",
    "TritonNotFoundError",
    "TritonOptions",
    "TritonServer",
    "TritonStartError",
    "find_triton",
]
