"""What a client has done so far: counters, and snapshots of them."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sonic_client.latency import LatencyHistogram, bin_of
from sonic_client.observer import EventsFinished, MessageAnswered, Observer, TryEnded

__all__ = ["ClientStatistics", "StatisticsRecorder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatistics:
    """A snapshot of a client's counters; snapshots of several clients add up.

    Attributes
    ----------
    events : int
        Requests of the caller that have an outcome.
    failed_events : int
        Those of them without an answer.
    requests : int
        Answered messages to servers; the layout ``concat`` puts several events
        into one.
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

    def __add__(self, other: ClientStatistics) -> ClientStatistics:
        return ClientStatistics(
            events=self.events + other.events,
            failed_events=self.failed_events + other.failed_events,
            requests=self.requests + other.requests,
            points=self.points + other.points,
            bytes_sent=self.bytes_sent + other.bytes_sent,
            bytes_received=self.bytes_received + other.bytes_received,
            tries=dict(Counter(self.tries) + Counter(other.tries)),
            servers=dict(Counter(self.servers) + Counter(other.servers)),
            latency=self.latency + other.latency,
        )


class StatisticsRecorder(Observer):
    """The counters behind the snapshots: one observer.

    Safe to record into and to read from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events = self._failed_events = self._requests = self._points = 0
        self._bytes_sent = self._bytes_received = 0
        self._tries: Counter[str] = Counter()
        self._servers: Counter[str] = Counter()
        self._latencies: Counter[int] = Counter()
        self._total_s, self._min_s, self._max_s = 0.0, math.inf, 0.0

    def try_ended(self, event: TryEnded) -> None:
        """Count a call by its status."""
        with self._lock:
            self._tries[event.status] += 1

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

    def events_finished(self, event: EventsFinished) -> None:
        """Count requests of the caller that now have their outcome."""
        with self._lock:
            self._events += event.events
            self._failed_events += event.failed_events
            self._points += event.points

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
            )
