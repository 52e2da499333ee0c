"""The client's configuration: a file a section."""

from sonic_client.config.batching import BatchingConfig, Layout
from sonic_client.config.channel import Balancing, ChannelConfig
from sonic_client.config.client import ClientConfig
from sonic_client.config.retry import RetryConfig
from sonic_client.config.server import (
    Compression,
    Scheme,
    ServerConfig,
    ServersLike,
    SharedMemory,
    TokenProvider,
)
from sonic_client.config.tls import TlsConfig
from sonic_client.config.window import WindowConfig

__all__ = [
    "Balancing",
    "BatchingConfig",
    "ChannelConfig",
    "ClientConfig",
    "Compression",
    "Layout",
    "RetryConfig",
    "Scheme",
    "ServerConfig",
    "ServersLike",
    "SharedMemory",
    "TlsConfig",
    "TokenProvider",
    "WindowConfig",
]
