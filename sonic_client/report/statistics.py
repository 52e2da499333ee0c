"""The counters of a client, snapshots of them, and a histogram of latencies."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sonic_client.report.observer import (
    EventsFinished,
    MessageAnswered,
    NonFiniteFound,
    Observer,
    ServerChanged,
    TryEnded,
)

__all__ = [
    "MAX_LISTED_IDS",
    "ClientStatistics",
    "LatencyHistogram",
    "StatisticsRecorder",
    "bin_of",
]

MAX_LISTED_IDS = 100
"""Ids that a summary lists of failed events, and of those the fallback answered."""

# Each bin is 2 % wider than the one below it, so a quantile is off by 1 % at
# most, and a job's durations fill a few hundred bins however long it runs.
_LOG_RATIO = math.log(1.02)
_SMALLEST_S = 1e-6


def bin_of(duration_s: float) -> int:
    """Return the number of the bin that holds a duration in seconds."""
    if duration_s <= _SMALLEST_S:
        return 0
    return int(math.log(duration_s / _SMALLEST_S) / _LOG_RATIO) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyHistogram:
    """Durations in logarithmic bins, with their exact sum and extremes.

    It stays small however many durations it holds, and can be added to another.

    Attributes
    ----------
    counts : mapping of int to int
        Entries per occupied bin; the bins are those of `bin_of`.
    total_s : float
        Sum of all durations, in seconds.
    min_s, max_s : float
        Extremes in seconds; inf and 0 while there are no entries.
    """

    counts: Mapping[int, int] = field(default_factory=dict)
    total_s: float = 0.0
    min_s: float = math.inf
    max_s: float = 0.0

    @property
    def n_entries(self) -> int:
        """Number of durations."""
        return sum(self.counts.values())

    @property
    def mean_s(self) -> float:
        """Mean in seconds; NaN without entries."""
        return self.total_s / n if (n := self.n_entries) else math.nan

    def quantile_s(self, fraction: float) -> float:
        """Return the duration below which a fraction of the entries lies.

        In seconds, accurate to 1 %; NaN without entries.
        """
        n_entries = self.n_entries
        if not n_entries:
            return math.nan
        rank = max(1, math.ceil(fraction * n_entries))
        seen = 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= rank:
                break
        # The geometric middle of the bin, but never outside what was measured.
        middle = _SMALLEST_S * math.exp((number - 0.5) * _LOG_RATIO)
        return min(max(middle, self.min_s), self.max_s)

    def __add__(self, other: LatencyHistogram) -> LatencyHistogram:
        return LatencyHistogram(
            counts=dict(Counter(self.counts) + Counter(other.counts)),
            total_s=self.total_s + other.total_s,
            min_s=min(self.min_s, other.min_s),
            max_s=max(self.max_s, other.max_s),
        )


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
        Bytes of tensor values in answered messages, each counted once however often
        it was tried.
    tries : mapping of str to int
        Calls by status: ``OK``, the name of a gRPC code, or ``LOCALLY_CANCELLED``.
    refusals : mapping of str to int
        Calls that a full server refused, by its address. They are among the tries; the
        message waited for room.
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
    hedges, hedges_won : int
        Calls to a second server while the first was slow, and those of them that
        answered first.
    nonfinite : mapping of str to int
        NaN and infinite values by output.
    server_changes : mapping of str to int
        How often a server changed to a state, by ``"SERVER state"``.
    failed_ids, fallback_ids : tuple of str or int
        Ids of events that failed, and that the fallback answered: the first
        `MAX_LISTED_IDS` in the order of numbers before text.
    """

    events: int = 0
    failed_events: int = 0
    requests: int = 0
    points: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    tries: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)
    servers: Mapping[str, int] = field(default_factory=dict)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    calls_s: float = 0.0
    fallback_requests: int = 0
    fallback_events: int = 0
    cached_events: int = 0
    hedges: int = 0
    hedges_won: int = 0
    nonfinite: Mapping[str, int] = field(default_factory=dict)
    server_changes: Mapping[str, int] = field(default_factory=dict)
    failed_ids: tuple[str | int, ...] = ()
    fallback_ids: tuple[str | int, ...] = ()

    def __add__(self, other: ClientStatistics) -> ClientStatistics:
        names = [f.name for f in fields(self)]
        sums = {n: _sum(getattr(self, n), getattr(other, n)) for n in names}
        return ClientStatistics(**sums)


_SUMS = tuple(f.name for f in fields(ClientStatistics) if f.type == "int")


class StatisticsRecorder(Observer):
    """The observer that counts for the snapshots.

    Safe to record into and to read from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Fields of `ClientStatistics`: sums, and counts by name.
        self._sums = dict.fromkeys(_SUMS, 0)
        self._tries: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
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
            elif event.is_overload:
                self._refusals[event.server] += 1
            if event.is_hedge:
                self._sums["hedges"] += 1

    def message_answered(self, event: MessageAnswered) -> None:
        """Count a message by its server, with its latency and its bytes."""
        latency_s = event.latency_s
        with self._lock:
            sums = self._sums
            sums["requests"] += 1
            sums["bytes_sent"] += event.bytes_sent
            sums["bytes_received"] += event.bytes_received
            self._servers[event.server] += 1
            self._latencies[bin_of(latency_s)] += 1
            self._total_s += latency_s
            self._min_s = min(self._min_s, latency_s)
            self._max_s = max(self._max_s, latency_s)
            if event.is_hedge:
                sums["hedges_won"] += 1
            if event.is_fallback:
                sums["fallback_requests"] += 1
                sums["fallback_events"] += event.events
                _list_ids(self._fallback_ids, event.event_ids)

    def events_finished(self, event: EventsFinished) -> None:
        """Count requests of the caller that now have their outcome."""
        with self._lock:
            sums = self._sums
            sums["events"] += event.events
            sums["points"] += event.points
            sums["cached_events"] += event.cached_events
            if event.failed_ids:
                sums["failed_events"] += event.failed_events
                _list_ids(self._failed_ids, event.failed_ids)

    def nonfinite_found(self, event: NonFiniteFound) -> None:
        """Count NaN and infinite values."""
        with self._lock:
            self._nonfinite[event.output] += event.n_values

    def server_changed(self, event: ServerChanged) -> None:
        """Count that a server came into a state."""
        with self._lock:
            self._server_changes[f"{event.server} {event.state}"] += 1

    def snapshot(self) -> ClientStatistics:
        """Return the counters as they are now."""
        with self._lock:
            sums: dict[str, Any] = dict(self._sums)  # Any: types differ
            return ClientStatistics(
                **sums,
                tries=dict(self._tries),
                refusals=dict(self._refusals),
                servers=dict(self._servers),
                latency=LatencyHistogram(
                    counts=dict(self._latencies),
                    total_s=self._total_s,
                    min_s=self._min_s,
                    max_s=self._max_s,
                ),
                calls_s=self._calls_s,
                nonfinite=dict(self._nonfinite),
                server_changes=dict(self._server_changes),
                failed_ids=_first_ids(self._failed_ids),
                fallback_ids=_first_ids(self._fallback_ids),
            )


def _sum(first: Any, second: Any) -> Any:  # Any: of one field, whatever its type
    if isinstance(first, Mapping):
        return dict(Counter(first) + Counter(second))
    if isinstance(first, tuple):
        return _first_ids(first + second)
    return first + second


def _first_ids(ids: Iterable[str | int]) -> tuple[str | int, ...]:
    in_order = sorted(ids, key=lambda each: (isinstance(each, str), each))
    return tuple(in_order[:MAX_LISTED_IDS])


def _list_ids(ids: list[str | int], new: Iterable[str | int]) -> None:
    ids.extend(new)
    if len(ids) > 10 * MAX_LISTED_IDS:
        ids[:] = _first_ids(ids)
