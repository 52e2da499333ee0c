"""The client's configuration: a file a section."""

from sonic_client.config.adaptive import AdaptiveConfig
from sonic_client.config.answers import AnswersConfig, NonFinitePolicy
from sonic_client.config.batching import BatchingConfig, Layout
from sonic_client.config.cache import CacheConfig
from sonic_client.config.channel import Balancing, ChannelConfig
from sonic_client.config.client import CastPolicy, ClientConfig
from sonic_client.config.fallback import FallbackConfig, OnDrift, SameOutputs
from sonic_client.config.health import HealthConfig
from sonic_client.config.pin import PinConfig
from sonic_client.config.retry import RetryAction, RetryConfig
from sonic_client.config.server import (
    MAX_MESSAGE_BYTES,
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
    "MAX_MESSAGE_BYTES",
    "AdaptiveConfig",
    "AnswersConfig",
    "Balancing",
    "BatchingConfig",
    "CacheConfig",
    "CastPolicy",
    "ChannelConfig",
    "ClientConfig",
    "Compression",
    "FallbackConfig",
    "HealthConfig",
    "Layout",
    "NonFinitePolicy",
    "OnDrift",
    "PinConfig",
    "RetryAction",
    "RetryConfig",
    "SameOutputs",
    "Scheme",
    "ServerConfig",
    "ServersLike",
    "SharedMemory",
    "TlsConfig",
    "TokenProvider",
    "WindowConfig",
]
