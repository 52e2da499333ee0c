"""The faults themselves: what can be done to a request, or to its answer.

A field is an option of the fault, in Python and in TOML.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, NamedTuple

import grpc
import numpy as np

from mock_server.core.planned_faults import INFER
from mock_server.errors import ModelError
from mock_server.wire.codec import DATATYPES, RawTensor, decode, encode
from sonic_base import ConfigError

GRPC_DEFAULT_LIMIT_BYTES = 4 * 1024 * 1024
"""Largest message that gRPC, and many a proxy, receives by default."""

_CODES_OF_HTTP = {
    400: grpc.StatusCode.INTERNAL,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    **dict.fromkeys((429, 502, 503, 504), grpc.StatusCode.UNAVAILABLE),
}
"""What gRPC's clients make of an HTTP status; UNKNOWN of any other. From "HTTP to gRPC
Status Code Mapping" in grpc/grpc, ``doc/http-grpc-status-mapping.md``."""

_FLOATS = ("FP16", "BF16", "FP32", "FP64")


class Arrival(NamedTuple):
    """A request that has arrived, before anything of it is checked."""

    number: int  #: 1 for the first inference request since the server was made
    model_name: str  #: empty if the request names none
    request_id: str  #: empty if the client gave none
    model_number: int = 1  #: the same count, of this model's requests alone
    size_bytes: int = 0  #: of all input tensors in wire form
    rpc: str = INFER  #: gRPC's name, over HTTP too; each name has counts of its own


FaultHook = Callable[[Arrival], None]
"""Called in the request's own thread; raises `ModelError` to refuse it, or waits."""


class Fault:
    """Base of all faults: prints as the call of a verb of `FaultPlan`."""

    __slots__ = ()

    verb: ClassVar[str]

    def __str__(self) -> str:
        written = []
        # Every fault is a dataclass, which the base cannot say.
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if not each.repr:
                value = "***"
            elif value == each.default:
                continue
            named = getattr(value, "__qualname__", None) or repr(value)
            keyword = each.kw_only or each.default is not MISSING
            written.append(f"{each.name}={named}" if keyword else named)
        return f"{self.verb}({', '.join(written)})"


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """The request is held back before anything of it is looked at."""

    verb = "delay"

    seconds: float
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        if self.seconds < 0.0 or self.jitter_s < 0.0:
            raise ConfigError(
                "a delay and its jitter must be at least 0 s, "
                f"got {self.seconds} s and {self.jitter_s} s"
            )

    def drawn_s(self, draw: Callable[[], float]) -> float:
        """Return the wait, uniform between `seconds` and `seconds` + `jitter_s`."""
        return self.seconds + (self.jitter_s * draw() if self.jitter_s else 0.0)


@dataclass(frozen=True, slots=True)
class Hang(Fault):
    """The request is never answered, until the client leaves or the server stops."""

    verb = "hang"


@dataclass(frozen=True, slots=True)
class Refuse(Fault):
    """The request is answered with an error, and the model does not run.

    A number is an HTTP status, as a proxy answers it; over gRPC, the client sees the
    status and the text that gRPC makes of it.
    """

    verb = "refuse"

    code: str | int | grpc.StatusCode
    text: str
    retry_after_s: float | None = field(default=None, kw_only=True)
    """Tells the client when to try again."""

    def __post_init__(self) -> None:
        if isinstance(self.code, int):
            if not 300 <= self.code <= 599:
                raise ConfigError(
                    f"an HTTP status of an error is 300 to 599, got {self.code}"
                )
            return
        if isinstance(self.code, grpc.StatusCode):
            object.__setattr__(self, "code", self.code.name)
        known = [name for name in grpc.StatusCode.__members__ if name != "OK"]
        if self.code not in known:
            raise ConfigError(
                f"unknown status code {self.code!r}, expected one of {', '.join(known)}"
            )

    def error(self) -> ModelError:
        """Return the error that the client gets."""
        if isinstance(self.code, int):
            return ModelError(
                _CODES_OF_HTTP.get(self.code, grpc.StatusCode.UNKNOWN),
                f"Received http2 header with status: {self.code}",
                http_status=self.code,
                http_text=self.text,
                retry_after_s=self.retry_after_s,
            )
        return ModelError(
            grpc.StatusCode[self.code], self.text, retry_after_s=self.retry_after_s
        )


@dataclass(frozen=True, slots=True)
class RefuseAsTooLarge(Fault):
    """The request is refused as gRPC refuses a message above its limit."""

    verb = "refuse_as_too_large"

    limit_bytes: int = GRPC_DEFAULT_LIMIT_BYTES

    def error(self, size_bytes: int) -> ModelError:
        """Return gRPC's error: RESOURCE_EXHAUSTED, the same status as for overload."""
        size = max(size_bytes, self.limit_bytes + 1)
        return ModelError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"SERVER: Received message larger than max ({size} vs. {self.limit_bytes})",
        )


@dataclass(frozen=True, slots=True)
class RunOutOfMemory(Fault):
    """The model fails as PyTorch does when the GPU's memory is used up."""

    verb = "run_out_of_memory"

    def error(self, model_name: str) -> ModelError:
        """Return Triton's error for an exception of the model, with PyTorch's text."""
        return ModelError(
            grpc.StatusCode.INTERNAL,
            f"Failed to process the request(s) for model '{model_name}_0_0', message: "
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 "
            "has a total capacity of 15.77 GiB of which 1.12 GiB is free.",
        )


@dataclass(frozen=True, slots=True)
class LoseStub(Fault):
    """The model's process is gone, and Triton 2.51 does not start another one."""

    verb = "lose_stub"

    def error(self, model_name: str) -> ModelError:
        """Return Triton's error for a stub of the Python backend that has died."""
        return ModelError(
            grpc.StatusCode.INTERNAL, f"Stub process '{model_name}_0_0' is not healthy."
        )


@dataclass(frozen=True, slots=True)
class DropConnection(Fault):
    """The connection is closed, and every request on it fails."""

    verb = "drop_connection"

    after_model: bool = field(default=False, kw_only=True)
    """Run the model first, so that only the answer is lost."""


@dataclass(frozen=True, slots=True)
class RestartServer(Fault):
    """The server goes down with all its requests, and comes back at the same ports."""

    verb = "restart_server"

    down_s: float = field(default=0.0, kw_only=True)
    """How long nothing listens, in seconds."""


@dataclass(frozen=True, slots=True)
class Call(Fault):
    """A function of the test is called: it waits, or raises `ModelError` to refuse."""

    verb = "call"

    hook: FaultHook


@dataclass(frozen=True, slots=True)
class RequireToken(Fault):
    """Requests without the token get UNAUTHENTICATED, as from Envoy's JWT filter.

    With several tokens, each is accepted for `requests_each` requests and then expires
    for the next; the last one does not expire. Tokens are not printed.
    """

    verb = "require_token"

    tokens: tuple[str, ...] = field(repr=False)
    requests_each: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.tokens or not all(self.tokens):
            raise ConfigError("a token that is required must not be empty")
        if len(self.tokens) > 1 and (self.requests_each or 0) < 1:
            raise ConfigError(
                "several tokens need requests_each: how many requests each is good for"
            )

    def current(self, n_accepted: int) -> int:
        """Return the index of the token that is valid after `n_accepted` requests."""
        if self.requests_each is None:
            return 0
        return min(n_accepted // self.requests_each, len(self.tokens) - 1)

    def problem(self, authorization: str | None, n_accepted: int) -> ModelError | None:
        """Return the error for a header, or None if it holds the valid token."""
        current = self.current(n_accepted)
        accepted = [f"Bearer {token}" for token in self.tokens]
        if authorization == accepted[current]:
            return None
        if not authorization:
            text = "Jwt is missing"
        elif authorization in accepted[:current]:
            text = "Jwt is expired"
        else:
            text = "Jwt verification fails"
        return ModelError(grpc.StatusCode.UNAUTHENTICATED, text)


@dataclass(frozen=True, slots=True)
class StartSlowly(Fault):
    """The server is alive but not ready at first: other requests get UNAVAILABLE."""

    verb = "start_slowly"

    seconds: float = field(default=0.0, kw_only=True)
    """From the start of the server."""

    requests: int = field(default=0, kw_only=True)
    """Number of requests of any kind that still find it not ready."""


class AnswerFault(Fault):
    """A fault that changes the outputs after the model has run."""

    __slots__ = ()

    @abstractmethod
    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        """Return the outputs as the client gets them."""


@dataclass(frozen=True, slots=True)
class _OutputFault(AnswerFault):
    output: str | None = None
    """Name; None: every output."""

    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        changed = []
        for tensor in outputs:
            if self.output in (None, tensor.name):
                changed += self._changed(tensor)
            else:
                changed.append(tensor)
        return changed

    @abstractmethod
    def _changed(self, tensor: RawTensor) -> list[RawTensor]: ...


@dataclass(frozen=True, slots=True)
class CutAnswer(_OutputFault):
    """The data ends early; the shape is unchanged."""

    verb = "cut_answer"

    keep: float = field(default=0.5, kw_only=True)
    """Share of the bytes that is sent."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.keep < 1.0:
            raise ConfigError(f"keep must be at least 0 and below 1, got {self.keep}")

    def _changed(self, tensor: RawTensor) -> list[RawTensor]:
        kept = math.floor(len(tensor.data) * self.keep)
        return [tensor._replace(data=tensor.data[:kept])]


@dataclass(frozen=True, slots=True)
class ChangeShape(_OutputFault):
    """Another shape, filled by repeating the data; by default the last row is gone."""

    verb = "change_shape"

    shape: tuple[int, ...] | None = field(default=None, kw_only=True)

    def _changed(self, tensor: RawTensor) -> list[RawTensor]:
        array = decode(tensor.data, tensor.datatype, tensor.shape)
        if self.shape is not None:
            array = np.resize(array, self.shape)
        elif array.ndim:
            array = array[:-1]
        data = encode(array, tensor.datatype)
        return [tensor._replace(shape=array.shape, data=data)]


@dataclass(frozen=True, slots=True)
class ChangeDatatype(_OutputFault):
    """The same values as elements of another type."""

    verb = "change_datatype"

    datatype: str = field(default="FP64", kw_only=True)

    def __post_init__(self) -> None:
        if self.datatype not in DATATYPES:
            raise ConfigError(
                f"unknown datatype {self.datatype!r}, expected one of "
                + ", ".join(sorted(DATATYPES))
            )

    def _changed(self, tensor: RawTensor) -> list[RawTensor]:
        array = decode(tensor.data, tensor.datatype, tensor.shape)
        if self.datatype == "BYTES":
            array = array.astype(str)
        elif tensor.datatype == "BYTES":
            array = np.zeros(tensor.shape)
        data = encode(array, self.datatype)
        return [tensor._replace(datatype=self.datatype, data=data)]


@dataclass(frozen=True, slots=True)
class FillWithNan(_OutputFault):
    """Not a number, in every element of the outputs that hold floats."""

    verb = "fill_with_nan"

    def _changed(self, tensor: RawTensor) -> list[RawTensor]:
        if tensor.datatype not in _FLOATS:
            return [tensor]
        array = np.full(tensor.shape, np.nan, np.float32)
        return [tensor._replace(data=encode(array, tensor.datatype))]


@dataclass(frozen=True, slots=True)
class OmitOutput(_OutputFault):
    """An output is missing from an answer that is otherwise a success."""

    verb = "omit_output"

    def _changed(self, tensor: RawTensor) -> list[RawTensor]:
        return []


@dataclass(frozen=True, slots=True)
class AddOutput(AnswerFault):
    """One more output than the model declares."""

    verb = "add_output"

    name: str

    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        """Return the new output first: clients must not rely on positions."""
        data = encode(np.zeros(3, np.float32), "FP32")
        return [RawTensor(self.name, "FP32", (3,), data), *outputs]


@dataclass(frozen=True, slots=True)
class DuplicateAnswer(AnswerFault):
    """Sent twice in a stream; where only one answer fits, each output comes twice."""

    verb = "duplicate_answer"

    def change(self, outputs: Sequence[RawTensor]) -> list[RawTensor]:
        """Return each output twice."""
        return [*outputs, *outputs]
