"""The narrow waist between the client's policy and the wire."""

from dataclasses import dataclass
from typing import Protocol

from sonic_client.summary import ServerCounters
from sonic_client.types import ModelMetadata, Tensors

__all__ = ["InferCall", "InferReply", "Transport"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InferCall:
    """One message to a model; the tensors were checked against its metadata."""

    model_name: str
    model_version: str
    request_id: str
    inputs: Tensors


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class InferReply:
    """What came back: read-only tensors, not yet checked against the metadata."""

    model_version: str
    outputs: Tensors


class Transport(Protocol):
    """One server, reached in one way.

    Every method that waits ends within `timeout_s` seconds, and raises only
    `ServerError` and `InvalidAnswerError`: a transport translates what its
    library raises. Cancelling the caller cancels the call on the wire.

    A transport belongs to the event loop that opened it.
    """

    @property
    def server(self) -> str:
        """Address for messages and statistics, such as ``grpc://localhost:8001``."""
        ...

    async def open(self) -> None:
        """Take what is needed to call; does not wait for the server."""
        ...

    async def close(self) -> None:
        """Release it; calls in flight are cancelled."""
        ...

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Ask for the model's tensors, batching and parameters."""
        ...

    async def count(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ServerCounters:
        """Ask for the server's counters of the model, summed over its versions."""
        ...

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Run the model."""
        ...
