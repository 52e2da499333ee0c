"""The ways to a server: gRPC, HTTP, shared memory. The layers above know `Transport`.

`FakeTransport` answers in this process, for unit tests.
"""

from sonic_client.transport.base import (
    CompressionReport,
    InferCall,
    InferReply,
    ServerCounters,
    Transport,
)
from sonic_client.transport.choice import TransportLike, transport_for
from sonic_client.transport.fake import FakeTransport

__all__ = [
    "CompressionReport",
    "FakeTransport",
    "InferCall",
    "InferReply",
    "ServerCounters",
    "Transport",
    "TransportLike",
    "transport_for",
]
