"""A client's messages as OpenTelemetry spans. Needs the extra ``tracing``."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from sonic_client.report.observer import (
    MessageAnswered,
    MessageEnded,
    MessageSent,
    Observer,
    TryEnded,
)

__all__ = ["TracingObserver"]


class TracingObserver(Observer):
    """Makes one span per message, with one event per try.

    Servers get the span's identity in the header ``traceparent``.

    Parameters
    ----------
    tracer : Tracer, optional
        By default that of the globally configured provider.

    Notes
    -----
    Make one observer per client, because message numbers are unique within a client.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("sonic_client")
        self._spans: dict[int, Span] = {}

    def message_sent(self, event: MessageSent) -> None:
        """Start a span."""
        self._spans[event.message] = self._tracer.start_span(
            f"ModelInfer {event.model}",
            kind=SpanKind.CLIENT,
            attributes={
                "sonic.request_id": event.request_id,
                "sonic.model": event.model,
                "sonic.events": event.events,
                "sonic.bytes_sent": event.n_bytes,
            },
        )

    def headers(self, message: int) -> Mapping[str, str]:
        """Return the span's identity as headers, such as ``traceparent``."""
        headers: dict[str, str] = {}
        inject(headers, trace.set_span_in_context(self._spans[message]))
        return headers

    def try_ended(self, event: TryEnded) -> None:
        """Note a try in the span of its message."""
        # Tries of probes and comparisons belong to no message.
        if span := self._spans.get(event.message):
            span.add_event(
                "try",
                {
                    "server.address": event.server,
                    "rpc.grpc.status": event.status,
                    "sonic.number": event.number,
                    "sonic.duration_s": event.duration_s,
                    "sonic.is_hedge": event.is_hedge,
                },
            )

    def message_answered(self, event: MessageAnswered) -> None:
        """Note the server that answered."""
        self._spans[event.message].set_attributes(
            {
                "server.address": event.server,
                "sonic.is_fallback": event.is_fallback,
                "sonic.bytes_received": event.bytes_received,
            }
        )

    def message_ended(self, event: MessageEnded) -> None:
        """End the span."""
        span = self._spans.pop(event.message)
        if event.error:
            span.set_status(Status(StatusCode.ERROR, event.error))
        span.end()
