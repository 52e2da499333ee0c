"""How a request reaches a server: policy lives above this package, I/O within it."""

from sonic_client.transport.base import (
    InferCall,
    InferReply,
    ParameterValue,
    SequenceStep,
    Transport,
)
from sonic_client.transport.choice import TransportLike, connector_of, transport_for

__all__ = [
    "InferCall",
    "InferReply",
    "ParameterValue",
    "SequenceStep",
    "Transport",
    "TransportLike",
    "connector_of",
    "transport_for",
]
