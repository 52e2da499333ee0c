"""A request and its responses, independent of the protocol."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from mock_server.errors import ModelError
from mock_server.wire.codec import RawTensor

ParameterValue = bool | int | float | str
"""Value of a request parameter that reaches the model."""


class SharedMemorySlice(NamedTuple):
    """Location of a tensor in a registered region of shared memory."""

    region: str  #: the name it was registered under
    offset: int  #: bytes, from the start of the region
    byte_size: int


class RequestedOutput(NamedTuple):
    """An output that a client asks for by name, and the form it wants."""

    name: str
    n_classes: int = 0  #: classification extension; 0: the tensor itself
    shared_memory: SharedMemorySlice | None = None  #: None: in the response


class FailureReason(Enum):
    """Why a request counts as failed: the values are labels of Triton's metrics."""

    OTHER = "OTHER"
    BACKEND = "BACKEND"
    """The model raised an exception."""
    CANCELED = "CANCELED"
    """The client left while the request was waiting."""
    REJECTED = "REJECTED"
    """It waited too long."""


class Cancellation:
    """Tells whether the client still waits; may be used from any thread."""

    __slots__ = ("_callbacks", "_is_cancelled", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._callbacks: list[Callable[[], object]] = []

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Mark as cancelled, and call the callbacks of `when_cancelled` once."""
        with self._lock:
            self._is_cancelled = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def when_cancelled(self, callback: Callable[[], object]) -> None:
        """Call this on `cancel`, in its thread; at once if it is cancelled already."""
        with self._lock:
            if not self._is_cancelled:
                self._callbacks.append(callback)
                return
        callback()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceRequest:
    """One inference request, its data in wire form and nothing of it checked yet."""

    model_name: str

    model_version: str = ""
    """As the client wrote it; empty: the highest."""

    id: str = ""

    inputs: tuple[RawTensor, ...] = ()
    """Data that lay in shared memory has been copied here."""

    outputs: tuple[RequestedOutput, ...] = ()
    """Empty: all outputs, as plain tensors."""

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    """Those for the model, without the ones that have a field of their own here."""

    priority: int = 0
    """Level in the queue, 1 is served first; 0: the model's default."""

    timeout_us: int = 0
    """Longest wait in the queue, in microseconds; 0: the model's default."""

    correlation_id: int | str = 0
    """The sequence it belongs to; 0 or empty: none."""

    sequence_start: bool = False

    sequence_end: bool = False

    enable_empty_final_response: bool = False
    """Streaming only: mark the end with a message of its own."""

    cancellation: Cancellation = field(default_factory=Cancellation)
    """Cancelled by the protocol when the client has left or its deadline has passed."""

    drop_connection: Callable[[], object] = lambda: None
    """Closes the client's connection without a response: for planned faults."""

    is_streamed: bool = False
    """Whether more than one response can be sent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceResponse:
    """One response: outputs or an error."""

    model_name: str

    model_version: str
    """Version that ran."""

    id: str = ""
    """The request's."""

    outputs: tuple[RawTensor, ...] = ()
    """In the order in which the model returned them, only the requested ones."""

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    """Set by the model."""

    error: ModelError | None = None
    """Instead of outputs."""

    def with_outputs(self, outputs: Iterable[RawTensor]) -> "InferenceResponse":
        """Copy with other outputs."""
        return replace(self, outputs=tuple(outputs))


Respond = Callable[[InferenceResponse | None, bool], None]
"""Takes a response and whether it is the last one. ``(None, True)`` ends the responses
without a further one, as a decoupled model may. Called from the model's thread: it must
be short, and must not raise."""
