"""The narrow waist between the client's policy and the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from sonic_client.compression_report import CompressionReport
from sonic_client.transport.base import ServerCounters
from sonic_client.types import ModelMetadata, ModelState, Tensors, TensorSpec

__all__ = [
    "InferCall",
    "InferReply",
    "ParameterValue",
    "RegionSlice",
    "RegionTransport",
    "SequenceStep",
    "Transport",
]

ParameterValue: TypeAlias = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceStep:
    """The place of a call in a sequence: calls that one model instance must see.

    Attributes
    ----------
    sequence_id : int or str
        Not 0 and not empty, which mean "no sequence" on the wire.
    is_start, is_end : bool
        Whether it is the sequence's first or last call.
    """

    sequence_id: int | str
    is_start: bool = False
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class RegionSlice:
    """A part of a region of shared memory that a server was told about.

    Attributes
    ----------
    region : str
        Name that the region was registered by.
    offset, n_bytes : int
        Where it starts, and how long it is.
    """

    region: str
    offset: int
    n_bytes: int


@dataclass(slots=True, eq=False, kw_only=True)
class InferCall:
    """One message to a model; the tensors were checked against its metadata.

    Attributes
    ----------
    parameters : mapping of str to bool, int, float or str
        For the model.
    headers : mapping of str to str
        For what is on the way, such as ``traceparent``; keys in lower case. Come
        before the server's own headers of the same name.
    sequence : SequenceStep or None
    input_regions : mapping of str to RegionSlice
        Inputs whose values are in shared memory, and so not in the message.
    output_regions : mapping of str to RegionSlice
        Outputs that the server shall write to shared memory.
    outputs : tuple of str
        Outputs wanted; all if empty.
    """

    model_name: str
    model_version: str
    request_id: str
    inputs: Tensors
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    sequence: SequenceStep | None = None
    input_regions: Mapping[str, RegionSlice] = field(default_factory=dict)
    output_regions: Mapping[str, RegionSlice] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


@dataclass(slots=True, eq=False, kw_only=True)
class InferReply:
    """What came back: read-only tensors, not yet checked against the metadata.

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

    @property
    def compression(self) -> CompressionReport:
        """What compressing the requests saved so far; empty if it is off."""
        ...

    async def open(self) -> None:
        """Take what is needed to call; does not wait for the server."""
        ...

    async def close(self) -> None:
        """Release it; calls in flight are cancelled."""
        ...

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether the server is live and ready; raise `ServerError` if not."""
        ...

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Ask for the state of every model version.

        Servers behind an admission control refuse this call, and only this one,
        when they are saturated: status ``CANCELLED`` without a text.
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
    """A transport that can tell its server about shared memory."""

    async def register_region(
        self, name: str, *, key: str, n_bytes: int, timeout_s: float
    ) -> None:
        """Let the server map a POSIX shared memory object, under a name."""
        ...

    async def unregister_region(self, name: str, *, timeout_s: float) -> None:
        """Let the server unmap it; without effect if it knows no such name."""
        ...
