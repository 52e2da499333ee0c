"""How a message reaches a server; `Transport` is all that the layers above know.

`FakeTransport` answers in this process, for unit tests.
"""

from sonic_client.transport.base import (
    CompressionReport,
    InferCall,
    InferReply,
    ServerCounters,
    Transport,
)
from sonic_client.transport.choice import TransportLike, connector_of, transport_for
from sonic_client.transport.fake import FakeTransport

__all__ = [
    "CompressionReport",
    "FakeTransport",
    "InferCall",
    "InferReply",
    "ServerCounters",
    "Transport",
    "TransportLike",
    "connector_of",
    "transport_for",
]
