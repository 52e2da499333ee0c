"""The client's configuration: a file a section."""

from sonic_client.config.batching import BatchingConfig, Layout
from sonic_client.config.client import ClientConfig
from sonic_client.config.retry import RetryConfig
from sonic_client.config.server import Scheme, ServerConfig, ServersLike
from sonic_client.config.window import WindowConfig

__all__ = [
    "BatchingConfig",
    "ClientConfig",
    "Layout",
    "RetryConfig",
    "Scheme",
    "ServerConfig",
    "ServersLike",
    "WindowConfig",
]
