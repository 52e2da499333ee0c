"""A request and its answers, free of any protocol: what gRPC and HTTP translate to."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mock_server.errors import ModelError
from mock_server.wire.codec import RawTensor

ParameterValue = bool | int | float | str
"""Value of a request parameter that reaches the model."""


class SharedMemorySlice(NamedTuple):
    """Where in a registered region of shared memory a tensor lies, or is to go."""

    region: str  #: the name it was registered under
    offset: int  #: bytes, from the start of the region
    byte_size: int


class RequestedOutput(NamedTuple):
    """An output that a client asks for by name, and the form it wants."""

    name: str
    n_classes: int = 0  #: classification extension; 0: the tensor itself
    shared_memory: SharedMemorySlice | None = None  #: None: in the answer


class Cancellation:
    """Whether anybody still waits for the answer; may be used from any thread."""

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
        """Nobody waits any more; calls what was given to `when_cancelled`, once."""
        with self._lock:
            self._is_cancelled = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def when_cancelled(self, callback: Callable[[], object]) -> None:
        """Call this on `cancel`, in its thread; at once if it has happened already."""
        with self._lock:
            if not self._is_cancelled:
                self._callbacks.append(callback)
                return
        callback()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceRequest:
    """One request for inference, its data in wire form, nothing of it checked yet."""

    model_name: str

    model_version: str = ""
    """As the client wrote it; empty: the highest."""

    id: str = ""

    inputs: tuple[RawTensor, ...] = ()
    """Data that lay in shared memory is here already."""

    outputs: tuple[RequestedOutput, ...] = ()
    """None means all, as plain tensors."""

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    """What reaches the model: without the keys that have a field of their own here."""

    priority: int = 0
    """Level of the queue, 1 the first to be served; 0: the model's default."""

    timeout_us: int = 0
    """Longest wait in the queue, in microseconds; 0: the model's default."""

    correlation_id: int | str = 0
    """Sequence that it belongs to; 0 or empty: none."""

    sequence_start: bool = False

    sequence_end: bool = False

    enable_empty_final_response: bool = False
    """Streaming only: tell of the end with a message of its own."""

    cancellation: Cancellation = field(default_factory=Cancellation)
    """Cancelled by the service when the client has left, or its deadline has passed."""

    drop_connection: Callable[[], object] = lambda: None
    """Closes the connection it came by, without an answer: for planned faults."""

    is_streamed: bool = False
    """Whether more than one response can be sent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceResponse:
    """One answer: outputs or an error."""

    model_name: str

    model_version: str
    """Version that ran."""

    id: str = ""
    """The request's."""

    outputs: tuple[RawTensor, ...] = ()
    """In the order in which the model returned them, those not asked for left out."""

    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    """The model's own, on the response."""

    error: ModelError | None = None
    """Instead of outputs."""

    def with_outputs(self, outputs: Iterable[RawTensor]) -> "InferenceResponse":
        """Answer with other outputs, the rest the same."""
        return replace(self, outputs=tuple(outputs))


Respond = Callable[[InferenceResponse | None, bool], None]
"""Takes a response and whether it is the last one. An end without a response, as that
of a decoupled model, is ``(None, True)``. Called from the model's thread: it must be
short, and not raise."""
