"""The events of a client as values, and the base class of those who are told of them.

What sends messages and watches servers emits these events and knows no sink: the
statistics are one `Observer`, Prometheus and OpenTelemetry are others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = [
    "EventsFinished",
    "MessageAnswered",
    "MessageEnded",
    "MessageSent",
    "NonFiniteFound",
    "Observer",
    "Observers",
    "ServerChanged",
    "ServerState",
    "TryEnded",
]

logger = logging.getLogger(__name__)

ServerState: TypeAlias = Literal[
    "healthy", "degraded", "saturated", "open", "half_open", "fallback"
]
"""A server's state, as far as the client knows.

``open`` and ``half_open`` are terms of circuit breakers: the server is left alone, and
it is tried again."""


class MessageSent(NamedTuple):
    """A message is about to be tried for the first time.

    Attributes
    ----------
    message : int
        Number of the message; unique in this client, unlike `request_id`.
    request_id : str
        As the server's log has it.
    model : str
        Name of the model.
    events, n_bytes : int
        The caller's requests in it, and the bytes of their tensors.
    """

    message: int
    request_id: str
    model: str
    events: int
    n_bytes: int


class TryEnded(NamedTuple):
    """A call to a server succeeded or failed.

    Attributes
    ----------
    server : str
        Address that was called.
    status : str
        ``OK``, the name of a gRPC code, or ``LOCALLY_CANCELLED``.
    duration_s : float
        Seconds that it took.
    message, request_id
        As in `MessageSent`.
    number : int
        1 for the first try of the message.
    is_overload : bool
        Whether the server refused it because it has too much to do.
    is_hedge : bool
        Whether it was sent because an earlier call, still in flight, took long. Of the
        two, the later one ends as ``LOCALLY_CANCELLED``.
    """

    server: str
    status: str
    duration_s: float
    message: int
    request_id: str
    number: int
    is_overload: bool = False
    is_hedge: bool = False


class MessageAnswered(NamedTuple):
    """A server answered a message.

    Attributes
    ----------
    message : int
        As in `MessageSent`.
    server : str
        Address that answered.
    latency_s : float
        Seconds from the first try, including the waits between tries.
    bytes_sent, bytes_received : int
        Bytes of tensor values, counted once however often the message was tried.
    event_ids : tuple of str or int
        Ids of the caller's requests in it.
    is_fallback : bool
        Whether the server is the fallback.
    is_hedge : bool
        Whether the answer is that of a hedge, see `TryEnded`.
    """

    message: int
    server: str
    latency_s: float
    bytes_sent: int
    bytes_received: int
    event_ids: tuple[str | int, ...]
    is_fallback: bool = False
    is_hedge: bool = False

    @property
    def events(self) -> int:
        """The number of the caller's requests that it answers."""
        return len(self.event_ids)


class MessageEnded(NamedTuple):
    """A message is not tried again: it was answered, failed, cut or cancelled.

    Follows every `MessageSent`, exactly once.

    Attributes
    ----------
    message : int
        As in `MessageSent`.
    error : str
        Name of the error's class, or empty if the message was answered.
    """

    message: int
    error: str = ""


class EventsFinished(NamedTuple):
    """Requests of the caller have their outcome.

    Attributes
    ----------
    events : int
        Number of requests.
    failed_ids : tuple of str or int
        Ids of those without an answer.
    points : int
        Rows of the first input, over those that were answered.
    cached_events : int
        Number of those that were answered from the cache.
    """

    events: int
    failed_ids: tuple[str | int, ...] = ()
    points: int = 0
    cached_events: int = 0

    @property
    def failed_events(self) -> int:
        """The number of requests without an answer."""
        return len(self.failed_ids)


class NonFiniteFound(NamedTuple):
    """An output of a message holds NaN or infinite values.

    Attributes
    ----------
    output : str
        Name of the output.
    n_values : int
        Number of such values.
    server : str
        Address that answered.
    """

    output: str
    n_values: int
    server: str


class ServerChanged(NamedTuple):
    """A server is in another state than before, as far as the client knows.

    Attributes
    ----------
    server : str
        Its address.
    state : str
        The new state.
    reason : str
        Why, as a text for users.
    """

    server: str
    state: ServerState
    reason: str


class Observer:
    """Is told what happens; inherit from it and override what you need.

    The methods are called in the client's event loop, so they must not block.
    An observer that raises is logged and not called again, and the job goes on.
    """

    def message_sent(self, event: MessageSent) -> None:
        """Note that a message is about to be tried for the first time."""

    def try_ended(self, event: TryEnded) -> None:
        """Note that a call to a server ended."""

    def message_answered(self, event: MessageAnswered) -> None:
        """Note that a message was answered."""

    def message_ended(self, event: MessageEnded) -> None:
        """Note that a message is not tried again."""

    def events_finished(self, event: EventsFinished) -> None:
        """Note that requests of the caller have their outcome."""

    def nonfinite_found(self, event: NonFiniteFound) -> None:
        """Note that an output holds NaN or infinite values."""

    def server_changed(self, event: ServerChanged) -> None:
        """Note the new state of a server."""

    def headers(self, message: int) -> Mapping[str, str]:
        """Return headers for the calls of a message, such as ``traceparent``."""
        return {}


_METHODS = (
    "message_sent",
    "try_ended",
    "message_answered",
    "message_ended",
    "events_finished",
    "nonfinite_found",
    "server_changed",
    "headers",
)


# Any: a method, whose type the base class declares.
def _tell_all(method: str) -> Any:
    """Return a method that calls the same method of all observers."""

    def tell(self: Observers, event: object) -> None:
        for observer, listen in self._listeners[method]:
            try:
                listen(event)
            except Exception as error:
                self._dismiss(observer, error)

    return tell


class Observers(Observer):
    """Several observers, told one after the other.

    Parameters
    ----------
    observers : iterable of Observer

    Attributes
    ----------
    follows_messages : bool
        Whether an observer follows messages from their sending to their end, or gives
        them headers. If none does, these events need not be made.
    """

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = list(observers)
        self._find_listeners()

    message_sent = _tell_all("message_sent")
    try_ended = _tell_all("try_ended")
    message_answered = _tell_all("message_answered")
    message_ended = _tell_all("message_ended")
    events_finished = _tell_all("events_finished")
    nonfinite_found = _tell_all("nonfinite_found")
    server_changed = _tell_all("server_changed")

    def headers(self, message: int) -> Mapping[str, str]:
        """Return the headers of all; the last one wins."""
        merged: dict[str, str] = {}
        for observer, give in self._listeners["headers"]:
            try:
                merged |= give(message)
            except Exception as error:
                self._dismiss(observer, error)
        return merged

    def _find_listeners(self) -> None:
        """Keep only the overridden methods, because events are frequent."""
        self._listeners: dict[str, list[tuple[Observer, Callable[[Any], Any]]]] = {
            method: [
                (observer, getattr(observer, method))
                for observer in self._observers
                if getattr(type(observer), method) is not getattr(Observer, method)
            ]
            for method in _METHODS
        }
        self.follows_messages = any(
            self._listeners[method]
            for method in ("message_sent", "message_ended", "headers")
        )

    def _dismiss(self, observer: Observer, error: Exception) -> None:
        logger.warning(
            "observer %r raised and is not called again", observer, exc_info=error
        )
        self._observers.remove(observer)
        self._find_listeners()
