"""The interface between policy and wire: calls, replies, counters, `Transport`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol

from sonic_client.types import ModelMetadata, ModelState, Tensors, TensorSpec

__all__ = [
    "CompressionReport",
    "InferCall",
    "InferReply",
    "RegionSlice",
    "RegionTransport",
    "ServerCounters",
    "Transport",
]


@dataclass(frozen=True, slots=True)
class RegionSlice:
    """A part of a region of shared memory that is registered with the server.

    Attributes
    ----------
    region : str
        Name of the region at the server.
    offset, n_bytes : int
        Start and length of the part.
    """

    region: str
    offset: int
    n_bytes: int


@dataclass(slots=True, eq=False, kw_only=True)
class InferCall:
    """One message to a model; its tensors were checked against the metadata.

    Attributes
    ----------
    headers : mapping of str to str
        Additional headers, such as ``traceparent``; keys in lower case. They replace
        the server's configured headers of the same name.
    input_regions : mapping of str to RegionSlice
        Inputs whose values are in shared memory instead of the message.
    output_regions : mapping of str to RegionSlice
        Outputs that the server shall write to shared memory.
    outputs : tuple of str
        Requested outputs; all if empty.
    declared : mapping of str to TensorSpec
        The model's outputs by name, so that an answer is compared with them before its
        values are read. Empty: not compared.
    """

    model_name: str
    model_version: str
    request_id: str
    inputs: Tensors
    headers: Mapping[str, str] = field(default_factory=dict)
    input_regions: Mapping[str, RegionSlice] = field(default_factory=dict)
    output_regions: Mapping[str, RegionSlice] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    declared: Mapping[str, TensorSpec] = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class InferReply:
    """The answer to a call: read-only tensors, not yet checked against the metadata.

    Attributes
    ----------
    model_version : str
    outputs : mapping of str to ndarray
    placed : tuple of TensorSpec
        Outputs that the server wrote to the regions of the call.
    """

    model_version: str
    outputs: Tensors
    placed: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCounters:
    """A server's counters for a model, over all its clients, since it started.

    Attributes
    ----------
    requests, failed_requests : int
        Requests that succeeded and failed.
    inferences : int
        Elements of batches; as many as requests if the model does not batch.
    executions : int
        Runs of the model; inferences / executions is the mean dynamic batch.
    queue_s, compute_input_s, compute_infer_s, compute_output_s : float
        Summed seconds of successful requests: waiting, and before, in and after
        the model.
    """

    requests: int = 0
    failed_requests: int = 0
    inferences: int = 0
    executions: int = 0
    queue_s: float = 0.0
    compute_input_s: float = 0.0
    compute_infer_s: float = 0.0
    compute_output_s: float = 0.0

    def __sub__(self, earlier: ServerCounters) -> ServerCounters:
        # Counters fall only if the server was restarted in between.
        if self.requests < earlier.requests:
            return self
        values = {
            f.name: max(0, getattr(self, f.name) - getattr(earlier, f.name))
            for f in fields(self)
        }
        return ServerCounters(**values)

    @property
    def total_s(self) -> float:
        """Summed seconds in the server, including the queue."""
        return (
            self.queue_s
            + self.compute_input_s
            + self.compute_infer_s
            + self.compute_output_s
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionReport:
    """Savings and costs of compressing a server's requests; reports add up.

    Attributes
    ----------
    n_messages : int
        Messages measured.
    plain_bytes, wire_bytes : int
        Their size before and after.
    spent_s : float
        Seconds spent on compressing them.
    """

    n_messages: int = 0
    plain_bytes: int = 0
    wire_bytes: int = 0
    spent_s: float = 0.0

    @property
    def saved_fraction(self) -> float:
        """Part of the bytes that is not sent; negative if they grew."""
        return 1.0 - self.wire_bytes / self.plain_bytes if self.plain_bytes else 0.0

    def __add__(self, other: CompressionReport) -> CompressionReport:
        return CompressionReport(
            n_messages=self.n_messages + other.n_messages,
            plain_bytes=self.plain_bytes + other.plain_bytes,
            wire_bytes=self.wire_bytes + other.wire_bytes,
            spent_s=self.spent_s + other.spent_s,
        )

    def __str__(self) -> str:
        rate = self.plain_bytes / self.spent_s * 1e-6 if self.spent_s else 0.0
        return (
            f"{self.n_messages} requests measured: {self.plain_bytes} bytes became "
            f"{self.wire_bytes} ({self.saved_fraction:.0%} saved) "
            f"in {self.spent_s:.3f} s ({rate:.0f} MB/s)"
        )


class Transport(Protocol):
    """One server, reached in one way.

    Every method that waits ends within `timeout_s` seconds, and raises only
    `ServerError` and `InvalidAnswerError`: a transport translates the errors of its
    library. Cancelling the caller cancels the call on the wire.

    A transport belongs to the event loop that opened it.
    """

    @property
    def server(self) -> str:
        """Address for messages and statistics, such as ``grpc://localhost:8001``."""
        ...

    @property
    def compression(self) -> CompressionReport:
        """Savings by compressing the requests so far; empty if it is off."""
        ...

    async def open(self) -> None:
        """Prepare for calls, without waiting for the server."""
        ...

    async def close(self) -> None:
        """Release everything; calls in flight are cancelled."""
        ...

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether the server is live and ready; raise `ServerError` if not."""
        ...

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Ask for the state of every model version.

        A saturated server behind an admission control refuses only this call: status
        ``CANCELLED`` without a text.
        """
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


class RegionTransport(Transport, Protocol):
    """A transport that can register shared memory with its server."""

    async def register_region(
        self, name: str, *, key: str, n_bytes: int, timeout_s: float
    ) -> None:
        """Let the server map a POSIX shared memory object, under a name."""
        ...

    async def unregister_region(self, name: str, *, timeout_s: float) -> None:
        """Let the server unmap it; without effect if it knows no such name."""
        ...
