"""A client for Triton servers: named tensors in, named tensors out.

It batches, keeps a bounded window of requests in flight, repeats what failed in
transit, and gives every request exactly one outcome, in order.

Importing it is cheap: gRPC is loaded when the first connection is opened.
"""

from sonic_base.errors import ConfigError, SonicError
from sonic_client.blocking import Client
from sonic_client.client import AsyncClient
from sonic_client.compression_report import CompressionReport
from sonic_client.config import (
    AdaptiveConfig,
    AnswersConfig,
    BatchingConfig,
    CacheConfig,
    ChannelConfig,
    ClientConfig,
    FallbackConfig,
    HealthConfig,
    PinConfig,
    RetryConfig,
    ServerConfig,
    TlsConfig,
    WindowConfig,
)
from sonic_client.errors import (
    AccessDeniedError,
    ClientClosedError,
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
from sonic_client.latency import LatencyHistogram
from sonic_client.observer import Observer
from sonic_client.pinning import metadata_hash
from sonic_client.statistics import ClientStatistics
from sonic_client.summary import JobSummary, LatencySplit, ServerInterval
from sonic_client.transport.base import ServerCounters
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
    "DeadlineExceededError",
    "Failure",
    "FallbackConfig",
    "FallbackDriftError",
    "FallbackServer",
    "ForkedProcessError",
    "GivenUpError",
    "HealthConfig",
    "InvalidAnswerError",
    "JobSummary",
    "LatencyHistogram",
    "LatencySplit",
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
    "TlsConfig",
    "TlsError",
    "TransientError",
    "TriesExhaustedError",
    "TryTimedOutError",
    "WindowConfig",
    "WrongPortError",
    "metadata_hash",
]
