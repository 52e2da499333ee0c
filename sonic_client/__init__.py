"""A client for Triton servers: named tensors in, named tensors out.

It batches requests, keeps a bounded number of messages in flight, retries what failed
in transit, and gives every request exactly one outcome, in order. Importing it is
cheap: gRPC is loaded when the first connection is opened.

Public submodules
-----------------
- `fallback`: what may answer when no server does, and how it is found by name.
- `report`: events for observers, `ProgressMeter`, Prometheus and OpenTelemetry sinks.
- `transport`: the protocol of a transport, and one that answers in this process.
"""

from sonic_base import ConfigError, SonicError
from sonic_client.client import AsyncClient, Client
from sonic_client.config import (
    AdaptiveConfig,
    AnswersConfig,
    BatchingConfig,
    CacheConfig,
    ChannelConfig,
    ClientConfig,
    FallbackConfig,
    HealthConfig,
    HedgeConfig,
    Layout,
    PinConfig,
    RetryConfig,
    ServerConfig,
    TlsConfig,
    WindowConfig,
    client_table,
)
from sonic_client.errors import (
    AccessDeniedError,
    ClientClosedError,
    ConnectionEndedError,
    DeadlineExceededError,
    FallbackDriftError,
    ForkedProcessError,
    GivenUpError,
    InvalidAnswerError,
    Mismatch,
    ModelMismatchError,
    ModelNotFoundError,
    ModelNotReadyError,
    NonFiniteAnswerError,
    NoServerError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerError,
    ServerOverloadedError,
    ServerUnreachableError,
    TensorMismatchError,
    TlsError,
    TransientError,
    TriesExhaustedError,
    TryTimedOutError,
    WrongPortError,
)
from sonic_client.fallback import FallbackServer
from sonic_client.report import (
    ClientStatistics,
    JobSummary,
    LatencyHistogram,
    LatencySplit,
    Observer,
    ServerInterval,
)
from sonic_client.retry import Timing
from sonic_client.transport import CompressionReport, ServerCounters
from sonic_client.types import (
    Answer,
    Failure,
    ModelMetadata,
    ModelState,
    Outcome,
    Request,
    Tensors,
    TensorSpec,
)

__all__ = [
    "AccessDeniedError",
    "AdaptiveConfig",
    "Answer",
    "AnswersConfig",
    "AsyncClient",
    "BatchingConfig",
    "CacheConfig",
    "ChannelConfig",
    "Client",
    "ClientClosedError",
    "ClientConfig",
    "ClientStatistics",
    "CompressionReport",
    "ConfigError",
    "ConnectionEndedError",
    "DeadlineExceededError",
    "Failure",
    "FallbackConfig",
    "FallbackDriftError",
    "FallbackServer",
    "ForkedProcessError",
    "GivenUpError",
    "HealthConfig",
    "HedgeConfig",
    "InvalidAnswerError",
    "JobSummary",
    "LatencyHistogram",
    "LatencySplit",
    "Layout",
    "Mismatch",
    "ModelMetadata",
    "ModelMismatchError",
    "ModelNotFoundError",
    "ModelNotReadyError",
    "ModelState",
    "NoServerError",
    "NonFiniteAnswerError",
    "Observer",
    "Outcome",
    "PinConfig",
    "RejectedRequestError",
    "Request",
    "RequestTooLargeError",
    "RetryConfig",
    "ServerConfig",
    "ServerCounters",
    "ServerError",
    "ServerInterval",
    "ServerOverloadedError",
    "ServerUnreachableError",
    "SonicError",
    "TensorMismatchError",
    "TensorSpec",
    "Tensors",
    "Timing",
    "TlsConfig",
    "TlsError",
    "TransientError",
    "TriesExhaustedError",
    "TryTimedOutError",
    "WindowConfig",
    "WrongPortError",
    "client_table",
]
