"""Every error of the client, by what the caller can do about it.

::

    SonicError
    ├── ConfigError (ValueError)                  fix the configuration
    ├── TensorMismatchError (ValueError)          fix the tensors
    ├── ClientClosedError (RuntimeError)          open the client first
    │   └── ForkedProcessError                    open it in this process
    ├── InvalidAnswerError                        fix the served model
    │   └── NonFiniteAnswerError                  look at the inputs, too
    ├── ModelMismatchError                        fix one of the served models
    ├── FallbackDriftError                        fix the server or the fallback
    ├── ServerError                               a call to a server failed
    │   ├── TransientError                        try again
    │   │   ├── ServerUnreachableError (ConnectionError)
    │   │   │   └── ConnectionEndedError
    │   │   ├── ServerFaultError
    │   │   ├── ServerOverloadedError
    │   │   ├── ModelNotReadyError
    │   │   └── TryTimedOutError (TimeoutError)
    │   └── RejectedRequestError                  the same request fails again
    │       ├── ModelNotFoundError (LookupError)
    │       ├── AccessDeniedError (PermissionError)
    │       ├── TlsError (ConnectionError)
    │       ├── WrongPortError (ConnectionError)
    │       └── RequestTooLargeError
    └── GivenUpError                              the retry budget is spent
        ├── TriesExhaustedError
        ├── FailsEverywhereError                  look at the event
        ├── NoServerError (ConnectionError)
        └── DeadlineExceededError (TimeoutError)

The facts in a message are also attributes. Every error survives pickling with them,
so it can be sent to another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from sonic_base import SonicError

__all__ = [
    "AccessDeniedError",
    "ClientClosedError",
    "ConnectionEndedError",
    "DeadlineExceededError",
    "FailsEverywhereError",
    "FallbackDriftError",
    "ForkedProcessError",
    "GivenUpError",
    "InvalidAnswerError",
    "Mismatch",
    "ModelMismatchError",
    "ModelNotFoundError",
    "ModelNotReadyError",
    "NoServerError",
    "NonFiniteAnswerError",
    "RejectedRequestError",
    "RequestTooLargeError",
    "ServerError",
    "ServerFaultError",
    "ServerOverloadedError",
    "ServerUnreachableError",
    "TensorMismatchError",
    "TlsError",
    "TransientError",
    "TriesExhaustedError",
    "TryTimedOutError",
    "WrongPortError",
]


class ClientClosedError(SonicError, RuntimeError):
    """The client is used before it was opened, or after it was closed."""


class ForkedProcessError(ClientClosedError):
    """A connection that was opened before a fork is used in the child.

    Attributes
    ----------
    pid : int
        Process that it was opened in.
    """

    def __init__(self, *, what: str, pid: int) -> None:
        self.pid = pid
        super().__init__(
            f"{what} was opened in process {pid}, and this process is a fork of it: "
            "start workers with multiprocessing.get_context('spawn'), or fork before "
            "the first client is opened and open one in each child"
        )


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One tensor that differs from what the model declares.

    Attributes
    ----------
    tensor : str
        Name of the tensor at the server, or in the request.
    expected, got : str
        Type and shape as text, e.g. ``FP32[-1,3]``; -1 is a free dimension.
    """

    tensor: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.tensor!r}: expected {self.expected}, got {self.got}"


class TensorMismatchError(SonicError, ValueError):
    """The tensors of a request differ from what the model declares.

    Raised before anything is sent, with all differences at once.

    Attributes
    ----------
    model : str
        Name of the model.
    mismatches : tuple of Mismatch
        Every difference found, at least one.
    """

    def __init__(self, *, model: str, mismatches: Iterable[Mismatch]) -> None:
        self.model, self.mismatches = model, tuple(mismatches)
        listed = "; ".join(f"input {mismatch}" for mismatch in self.mismatches)
        super().__init__(f"model {model!r}: {listed}")


class InvalidAnswerError(SonicError):
    """The server answered with tensors other than the model declares.

    Attributes
    ----------
    model, server : str
        Names of the model and the server.
    mismatches : tuple of Mismatch
        Every difference found, at least one.
    """

    def __init__(
        self, *, model: str, server: str, mismatches: Iterable[Mismatch]
    ) -> None:
        self.model, self.server = model, server
        self.mismatches = tuple(mismatches)
        listed = "; ".join(f"output {mismatch}" for mismatch in self.mismatches)
        super().__init__(f"answer of model {model!r} at {server}: {listed}")


class NonFiniteAnswerError(InvalidAnswerError):
    """An output holds NaN or infinite values, and the configuration forbids them."""


class ModelMismatchError(SonicError):
    """Two servers have models of one name with different tensors.

    Also raised if the tensors of one server's model change while the client is open.

    Attributes
    ----------
    model : str
        Name of both models.
    server, reference : str
        The server that is not used, and the one whose model was seen first.
    mismatches : tuple of Mismatch
        Every difference found, at least one.
    """

    def __init__(
        self,
        *,
        model: str,
        server: str,
        reference: str,
        mismatches: Iterable[Mismatch],
    ) -> None:
        self.model, self.server, self.reference = model, server, reference
        self.mismatches = tuple(mismatches)
        listed = "; ".join(map(str, self.mismatches))
        where = "before" if server == reference else f"at {reference}"
        super().__init__(
            f"model {model!r} at {server} is not the one known {where}: {listed}"
        )


class FallbackDriftError(SonicError):
    """A server and the fallback computed different outputs from the same inputs.

    Attributes
    ----------
    server, fallback : str
        Names of both.
    differences : tuple of str
        One text per output that differs.
    """

    def __init__(
        self, *, server: str, fallback: str, differences: Iterable[str]
    ) -> None:
        self.server, self.fallback = server, fallback
        self.differences = tuple(differences)
        listed = "; ".join(self.differences)
        super().__init__(f"{server} and the {fallback} do not agree: {listed}")


class ServerError(SonicError):
    """A call to a server failed, at the server or on the way.

    Attributes
    ----------
    server : str
        Address of the server, e.g. ``grpc://localhost:8001``.
    status : str
        Name of the gRPC status code, e.g. ``UNAVAILABLE``.
    details : str
        The server's own text; may be empty.
    """

    _summary: ClassVar[str] = "server {server} failed the call"

    def __init__(
        self, *, server: str, status: str, details: str, remedy: str = ""
    ) -> None:
        self.server, self.status, self.details = server, status, details
        hint = f" ({remedy})" if remedy else ""
        what = self._summary.format(server=server)
        super().__init__(f"{what}: {status}: {_brief(details)}{hint}")


# Characters of a server's text in a message; its attribute has all of them.
_MAX_BRIEF = 1000


def _brief(details: str) -> str:
    """Return the begin of the server's text, without a traceback."""
    lines = details.strip().splitlines()
    if not lines:
        return "no details given"
    first = lines[0]
    return first if len(first) <= _MAX_BRIEF else f"{first[:_MAX_BRIEF]}..."


class TransientError(ServerError):
    """The call failed, and another try may succeed."""


class ServerUnreachableError(TransientError, ConnectionError):
    """No connection to the server, or it was lost with the call in flight."""

    _summary = "server {server} cannot be reached"


class ServerFaultError(TransientError):
    """The server, its model or its proxy broke; another server may do better.

    A process of the model that died, a device without memory, an exception of the
    model, an HTTP status 500 or 502.
    """


class ConnectionEndedError(ServerUnreachableError):
    """The server, or a proxy, ended each connection as planned before the answer.

    One such end costs no try: the call is made again at once. This error is raised
    after several in a row.
    """

    _summary = "server {server} ended the connection before it answered"


class ServerOverloadedError(TransientError):
    """The server is alive and refuses more work at the moment.

    Attributes
    ----------
    retry_after_s : float or None
        Seconds after which the server asks to be tried again; None if it did not say.
    """

    _summary = "server {server} is overloaded"

    retry_after_s: float | None = None


class ModelNotReadyError(TransientError):
    """The server is alive, and is still starting or loading the model."""

    _summary = "server {server} is not ready"


class TryTimedOutError(TransientError, TimeoutError):
    """One try got no answer within its timeout."""

    _summary = "server {server} did not answer in time"


class RejectedRequestError(ServerError):
    """The server refused the request, and would refuse it again."""

    _summary = "server {server} rejected the request"

    @property
    def is_everywhere(self) -> bool:
        """Whether every other server would refuse it, too: its tensors are wrong."""
        return self.status == "INVALID_ARGUMENT"


class ModelNotFoundError(RejectedRequestError, LookupError):
    """The server does not serve this model, or this version of it."""

    _summary = "server {server} does not serve the model"


class AccessDeniedError(RejectedRequestError, PermissionError):
    """The server denies this caller access."""

    _summary = "server {server} denied access"


class TlsError(RejectedRequestError, ConnectionError):
    """Client and server do not agree on an encrypted connection."""

    _summary = "no secure connection to server {server}"


class WrongPortError(RejectedRequestError, ConnectionError):
    """The port speaks another protocol."""

    _summary = "server {server} speaks another protocol"


class RequestTooLargeError(RejectedRequestError):
    """The message is larger than the server, its proxy, the client or gRPC allows.

    Smaller messages may pass, and another server may allow more.
    """

    _summary = "message is too large for server {server}"


class GivenUpError(SonicError):
    """Another try might have helped, but the retry budget is spent.

    Attributes
    ----------
    failures : tuple of SonicError
        The error of each try, oldest first.
    """

    failures: tuple[SonicError, ...]


class TriesExhaustedError(GivenUpError):
    """Every allowed try failed; the last failure is the cause."""

    def __init__(self, failures: Iterable[SonicError]) -> None:
        self.failures = tuple(failures)
        n_tries = len(self.failures)
        tries = "the only allowed try" if n_tries == 1 else f"all {n_tries} tries"
        super().__init__(f"{tries} failed, the last one: {self.failures[-1]}")


class FailsEverywhereError(GivenUpError):
    """Servers break when they are given this request, so no other one is asked.

    Attributes
    ----------
    request_id : str
        Id of the request, as the servers' logs have it.
    """

    def __init__(self, *, request_id: str, failures: Iterable[SonicError]) -> None:
        self.request_id, self.failures = request_id, tuple(failures)
        texts = {getattr(each, "server", ""): str(each) for each in self.failures}
        n_tries = len(self.failures)
        super().__init__(
            f"request {request_id} breaks the servers that it is sent to, given up "
            f"after {n_tries} {'try' if n_tries == 1 else 'tries'}: "
            f"{'; '.join(texts.values())}"
        )


class NoServerError(GivenUpError, ConnectionError):
    """No server is left to ask.

    Attributes
    ----------
    last_errors : mapping of str to Exception
        The last error of each server.
    """

    def __init__(
        self,
        last_errors: Mapping[str, Exception],
        *,
        failures: Iterable[SonicError] = (),
        outage_s: float | None = None,
    ) -> None:
        self.last_errors, self.failures = dict(last_errors), tuple(failures)
        since = "" if outage_s is None else f" since {outage_s:.0f} s"
        listed = "; ".join(map(str, self.last_errors.values()))
        super().__init__(f"no server is left{since}: {listed}")


class DeadlineExceededError(GivenUpError, TimeoutError):
    """No answer came within the deadline over all tries.

    Attributes
    ----------
    deadline_s : float
        Seconds for all tries together.
    """

    def __init__(self, *, deadline_s: float, failures: Iterable[SonicError]) -> None:
        self.deadline_s, self.failures = deadline_s, tuple(failures)
        last = f", the last failure: {self.failures[-1]}" if self.failures else ""
        n_tries = len(self.failures)
        tries = "1 try" if n_tries == 1 else f"{n_tries} tries"
        super().__init__(f"no answer within {deadline_s:g} s and {tries}{last}")
