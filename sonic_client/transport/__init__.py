"""How a request reaches a server: policy lives above this package, I/O within it."""

from sonic_client.transport.base import (
    InferCall,
    InferReply,
    ParameterValue,
    SequenceStep,
    Transport,
)
from sonic_client.transport.choice import transport_for

__all__ = [
    "InferCall",
    "InferReply",
    "ParameterValue",
    "SequenceStep",
    "Transport",
    "transport_for",
]
