"""The client's configuration: one frozen dataclass per section."""

from sonic_client.config.client import (
    CastPolicy,
    ClientConfig,
    PinConfig,
    client_table,
)
from sonic_client.config.failures import (
    FallbackConfig,
    HealthConfig,
    OnDrift,
    RetryAction,
    RetryConfig,
    SameOutputs,
)
from sonic_client.config.messages import (
    AdaptiveConfig,
    AnswersConfig,
    BatchingConfig,
    CacheConfig,
    Layout,
    NonFinitePolicy,
    WindowConfig,
)
from sonic_client.config.server import (
    MAX_MESSAGE_BYTES,
    Balancing,
    ChannelConfig,
    Compression,
    Scheme,
    ServerConfig,
    ServersLike,
    SharedMemory,
    TlsConfig,
    TokenProvider,
    is_header_value,
)

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
    "client_table",
    "is_header_value",
]
