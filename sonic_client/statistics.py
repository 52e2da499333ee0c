"""What a client has done so far: counters, and snapshots of them."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sonic_client.latency import LatencyHistogram, bin_of
from sonic_client.observer import (
    EventsFinished,
    MessageAnswered,
    NonFiniteFound,
    Observer,
    ServerChanged,
    TryEnded,
)

__all__ = ["MAX_LISTED_IDS", "ClientStatistics", "StatisticsRecorder"]

MAX_LISTED_IDS = 100
"""Ids that a summary lists of failed events, and of those the fallback answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatistics:
    """A snapshot of a client's counters; snapshots of several clients add up.

    The sum is the same in whichever order it is taken.

    Attributes
    ----------
    events : int
        Requests of the caller that have an outcome.
    failed_events : int
        Those of them without an answer.
    requests : int
        Answered messages to servers; a message may hold several events.
    points : int
        Rows of the first input, over all answered events.
    bytes_sent, bytes_received : int
        Tensor values of answered messages, each counted once however often it
        was tried.
    tries : mapping of str to int
        Calls by status: ``OK``, the name of a gRPC code, or ``LOCALLY_CANCELLED``.
    servers : mapping of str to int
        Answered messages by server address.
    latency : LatencyHistogram
        Seconds from the first try of a message to its answer.
    calls_s : float
        Seconds of the calls that succeeded, summed: without other tries and waits.
    fallback_requests, fallback_events : int
        Answered messages, and events, that the fallback answered.
    cached_events : int
        Events that were answered from the cache: no message was sent.
    nonfinite : mapping of str to int
        NaN and infinite values by output.
    server_changes : mapping of str to int
        How often a server changed to a state, by ``"SERVER state"``.
    failed_ids, fallback_ids : tuple of str or int
        Of events that failed, and that the fallback answered: the first
        `MAX_LISTED_IDS` in the order of numbers before text.
    """

    events: int = 0
    failed_events: int = 0
    requests: int = 0
    points: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    tries: Mapping[str, int] = field(default_factory=dict)
    servers: Mapping[str, int] = field(default_factory=dict)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    calls_s: float = 0.0
    fallback_requests: int = 0
    fallback_events: int = 0
    cached_events: int = 0
    nonfinite: Mapping[str, int] = field(default_factory=dict)
    server_changes: Mapping[str, int] = field(default_factory=dict)
    failed_ids: tuple[str | int, ...] = ()
    fallback_ids: tuple[str | int, ...] = ()

    def __add__(self, other: ClientStatistics) -> ClientStatistics:
        return ClientStatistics(
            events=self.events + other.events,
            failed_events=self.failed_events + other.failed_events,
            requests=self.requests + other.requests,
            points=self.points + other.points,
            bytes_sent=self.bytes_sent + other.bytes_sent,
            bytes_received=self.bytes_received + other.bytes_received,
            tries=_sum(self.tries, other.tries),
            servers=_sum(self.servers, other.servers),
            latency=self.latency + other.latency,
            calls_s=self.calls_s + other.calls_s,
            fallback_requests=self.fallback_requests + other.fallback_requests,
            fallback_events=self.fallback_events + other.fallback_events,
            cached_events=self.cached_events + other.cached_events,
            nonfinite=_sum(self.nonfinite, other.nonfinite),
            server_changes=_sum(self.server_changes, other.server_changes),
            failed_ids=_first_ids(self.failed_ids + other.failed_ids),
            fallback_ids=_first_ids(self.fallback_ids + other.fallback_ids),
        )


class StatisticsRecorder(Observer):
    """The counters behind the snapshots: one observer.

    Safe to record into and to read from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events = self._failed_events = self._requests = self._points = 0
        self._fallback_requests = self._fallback_events = self._cached_events = 0
        self._bytes_sent = self._bytes_received = 0
        self._tries: Counter[str] = Counter()
        self._servers: Counter[str] = Counter()
        self._nonfinite: Counter[str] = Counter()
        self._server_changes: Counter[str] = Counter()
        self._latencies: Counter[int] = Counter()
        self._total_s, self._min_s, self._max_s = 0.0, math.inf, 0.0
        self._calls_s = 0.0
        self._failed_ids: list[str | int] = []
        self._fallback_ids: list[str | int] = []

    def try_ended(self, event: TryEnded) -> None:
        """Count a call by its status."""
        with self._lock:
            self._tries[event.status] += 1
            if event.status == "OK":
                self._calls_s += event.duration_s

    def message_answered(self, event: MessageAnswered) -> None:
        """Count a message by its server, with its latency and its bytes."""
        latency_s = event.latency_s
        with self._lock:
            self._requests += 1
            self._servers[event.server] += 1
            self._bytes_sent += event.bytes_sent
            self._bytes_received += event.bytes_received
            self._latencies[bin_of(latency_s)] += 1
            self._total_s += latency_s
            self._min_s = min(self._min_s, latency_s)
            self._max_s = max(self._max_s, latency_s)
            if event.is_fallback:
                self._fallback_requests += 1
                self._fallback_events += event.events
                _list_ids(self._fallback_ids, event.event_ids)

    def events_finished(self, event: EventsFinished) -> None:
        """Count requests of the caller that now have their outcome."""
        with self._lock:
            self._events += event.events
            self._failed_events += event.failed_events
            self._points += event.points
            self._cached_events += event.cached_events
            if event.failed_ids:
                _list_ids(self._failed_ids, event.failed_ids)

    def nonfinite_found(self, event: NonFiniteFound) -> None:
        """Count values that are no numbers."""
        with self._lock:
            self._nonfinite[event.output] += event.n_values

    def server_changed(self, event: ServerChanged) -> None:
        """Count that a server came into a state."""
        with self._lock:
            self._server_changes[f"{event.server} {event.state}"] += 1

    def snapshot(self) -> ClientStatistics:
        """Return the counters as they are now."""
        with self._lock:
            return ClientStatistics(
                events=self._events,
                failed_events=self._failed_events,
                requests=self._requests,
                points=self._points,
                bytes_sent=self._bytes_sent,
                bytes_received=self._bytes_received,
                tries=dict(self._tries),
                servers=dict(self._servers),
                latency=LatencyHistogram(
                    counts=dict(self._latencies),
                    total_s=self._total_s,
                    min_s=self._min_s,
                    max_s=self._max_s,
                ),
                calls_s=self._calls_s,
                fallback_requests=self._fallback_requests,
                fallback_events=self._fallback_events,
                cached_events=self._cached_events,
                nonfinite=dict(self._nonfinite),
                server_changes=dict(self._server_changes),
                failed_ids=_first_ids(self._failed_ids),
                fallback_ids=_first_ids(self._fallback_ids),
            )


def _sum(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(first) + Counter(second))


def _first_ids(ids: Iterable[str | int]) -> tuple[str | int, ...]:
    in_order = sorted(ids, key=lambda each: (isinstance(each, str), each))
    return tuple(in_order[:MAX_LISTED_IDS])


def _list_ids(ids: list[str | int], new: Iterable[str | int]) -> None:
    ids.extend(new)
    if len(ids) > 10 * MAX_LISTED_IDS:
        ids[:] = _first_ids(ids)
