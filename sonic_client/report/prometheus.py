"""A client's events as Prometheus metrics. Needs the extra ``metrics``."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from sonic_client.report.observer import (
    EventsFinished,
    MessageAnswered,
    MessageEnded,
    MessageSent,
    NonFiniteFound,
    Observer,
    ServerChanged,
    TryEnded,
)

__all__ = ["PrometheusObserver"]

# In seconds, from the millisecond of a local server to a minute.
_BUCKETS_S = (1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class PrometheusObserver(Observer):
    """Counts events in metrics called ``sonic_client_*``.

    Parameters
    ----------
    registry : CollectorRegistry
        The default registry unless given. Make one observer per registry; several
        clients may share it.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"sonic_client_{name}", text, labels, registry=registry)

        self._tries = counter("tries", "Calls to a server", "server", "status")
        self._hedges = counter("hedges", "Calls to a second server", "server")
        self._messages = counter(
            "messages", "Messages that were answered", "server", "is_fallback"
        )
        self._events = counter("events", "Events that have an outcome", "outcome")
        self._points = counter("points", "Rows of answered events")
        self._bytes = counter("bytes", "Tensor values on the wire", "direction")
        self._nonfinite = counter("nonfinite", "NaN and infinite values", "output")
        self._changes = counter(
            "server_changes", "Changes of a server's state", "server", "state"
        )
        self._latency = Histogram(
            "sonic_client_latency_seconds",
            "From the first try of a message to its answer",
            ["server"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._in_flight = Gauge(
            "sonic_client_in_flight", "Messages in flight", registry=registry
        )

    def message_sent(self, event: MessageSent) -> None:
        """Count a message as in flight."""
        self._in_flight.inc()

    def message_ended(self, event: MessageEnded) -> None:
        """Count a message as not in flight."""
        self._in_flight.dec()

    def try_ended(self, event: TryEnded) -> None:
        """Count a call by server and status."""
        self._tries.labels(event.server, event.status).inc()
        if event.is_hedge:
            self._hedges.labels(event.server).inc()

    def message_answered(self, event: MessageAnswered) -> None:
        """Count an answer, its latency and its bytes."""
        self._messages.labels(event.server, str(event.is_fallback).lower()).inc()
        self._latency.labels(event.server).observe(event.latency_s)
        self._bytes.labels("sent").inc(event.bytes_sent)
        self._bytes.labels("received").inc(event.bytes_received)

    def events_finished(self, event: EventsFinished) -> None:
        """Count events by outcome."""
        n_answered = event.events - event.failed_events
        self._events.labels("answered").inc(n_answered)
        self._events.labels("failed").inc(event.failed_events)
        self._points.inc(event.points)

    def nonfinite_found(self, event: NonFiniteFound) -> None:
        """Count NaN and infinite values."""
        self._nonfinite.labels(event.output).inc(event.n_values)

    def server_changed(self, event: ServerChanged) -> None:
        """Count a change of state."""
        self._changes.labels(event.server, event.state).inc()
