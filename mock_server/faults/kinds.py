"""What can befall a request on its way to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar

import grpc

from mock_server.errors import ModelError
from mock_server.faults.selection import Arrival

GRPC_DEFAULT_LIMIT_BYTES = 4 * 1024 * 1024
"""What gRPC receives unless told otherwise, and many a proxy too."""


class Fault:
    """Base of all of them: prints as the verb of a `FaultPlan`."""

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
    """Held back for a while, before anything of it is looked at."""

    verb = "delay"

    seconds: float
    jitter_s: float = 0.0

    def __post_init__(self) -> None:
        if self.seconds < 0.0 or self.jitter_s < 0.0:
            raise ValueError(
                "a delay and its jitter must be at least 0 s, "
                f"got {self.seconds} s and {self.jitter_s} s"
            )

    def drawn_s(self, draw: Callable[[], float]) -> float:
        """Seconds to wait: evenly between `seconds` and `seconds` + `jitter_s`."""
        return self.seconds + (self.jitter_s * draw() if self.jitter_s else 0.0)


@dataclass(frozen=True, slots=True)
class Hang(Fault):
    """Never answered; ends when the client leaves or the server stops."""

    verb = "hang"


@dataclass(frozen=True, slots=True)
class Refuse(Fault):
    """Answered with an error, the model not run."""

    verb = "refuse"

    code: str
    text: str

    def __post_init__(self) -> None:
        if self.code not in grpc.StatusCode.__members__ or self.code == "OK":
            raise ValueError(
                f"unknown status code {self.code!r}, expected one of "
                + ", ".join(
                    name for name in grpc.StatusCode.__members__ if name != "OK"
                )
            )

    def error(self) -> ModelError:
        """What the client gets."""
        return ModelError(grpc.StatusCode[self.code], self.text)


@dataclass(frozen=True, slots=True)
class RefuseAsTooLarge(Fault):
    """Refused as a gRPC server or proxy refuses a message above its limit."""

    verb = "refuse_as_too_large"

    limit_bytes: int = GRPC_DEFAULT_LIMIT_BYTES

    def error(self, size_bytes: int) -> ModelError:
        """Text as in gRPC 1.85, the same status as for overload."""
        size = max(size_bytes, self.limit_bytes + 1)
        return ModelError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"SERVER: Received message larger than max ({size} vs. {self.limit_bytes})",
        )


@dataclass(frozen=True, slots=True)
class RunOutOfMemory(Fault):
    """Fails in the model as PyTorch does when the GPU's memory is used up."""

    verb = "run_out_of_memory"

    def error(self, model_name: str) -> ModelError:
        """Triton's text for an exception in ``execute``, PyTorch's inside it."""
        return ModelError(
            grpc.StatusCode.INTERNAL,
            f"Failed to process the request(s) for model '{model_name}_0_0', message: "
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 "
            "has a total capacity of 15.77 GiB of which 1.12 GiB is free.",
        )


@dataclass(frozen=True, slots=True)
class DropConnection(Fault):
    """Its connection is closed, and with it every request that shares it."""

    verb = "drop_connection"

    after_model: bool = field(default=False, kw_only=True)
    """Run the model first, so that only the answer is lost."""


@dataclass(frozen=True, slots=True)
class RestartServer(Fault):
    """The server goes down with all it holds, and comes back at the same ports."""

    verb = "restart_server"

    down_s: float = field(default=0.0, kw_only=True)
    """How long nothing listens, in seconds."""


@dataclass(frozen=True, slots=True)
class Call(Fault):
    """A function of the test's own: it waits, or raises `ModelError` to refuse."""

    verb = "call"

    hook: Callable[[Arrival], None]


@dataclass(frozen=True, slots=True)
class RequireToken(Fault):
    """Answered UNAUTHENTICATED without the token, as Envoy's JWT filter does.

    With several tokens, each is good for `requests_each` requests and then expires for
    the next; the last stays good. Tokens are not printed.
    """

    verb = "require_token"

    tokens: tuple[str, ...] = field(repr=False)
    requests_each: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.tokens or not all(self.tokens):
            raise ValueError("a token that is required must not be empty")
        if len(self.tokens) > 1 and (self.requests_each or 0) < 1:
            raise ValueError(
                "several tokens need requests_each: how many requests each is good for"
            )

    def current(self, n_accepted: int) -> int:
        """Index of the token that is good once so many requests were accepted."""
        if self.requests_each is None:
            return 0
        return min(n_accepted // self.requests_each, len(self.tokens) - 1)

    def problem(self, authorization: str | None, n_accepted: int) -> ModelError | None:
        """What is wrong with a header, or None if it holds the token of the moment."""
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
    """Not ready at first: readiness is false, all else UNAVAILABLE, liveness true."""

    verb = "start_slowly"

    seconds: float = field(default=0.0, kw_only=True)
    """From the start of the server."""

    requests: int = field(default=0, kw_only=True)
    """Requests of any kind that still find it not ready."""
