"""A Triton Inference Server in this process, for any Python callable.

It speaks KServe v2 over gRPC on loopback, with Triton's codes, texts and counters, so
that a client can be tested offline against what it will meet in production.
"""

from mock_server.errors import ModelError
from mock_server.faults import Arrival, FaultHook, FaultPlan
from mock_server.models import Model, ModelFunction, TensorSpec
from mock_server.server import MockServer

__all__ = [
    "Arrival",
    "FaultHook",
    "FaultPlan",
    "MockServer",
    "Model",
    "ModelError",
    "ModelFunction",
    "TensorSpec",
]
