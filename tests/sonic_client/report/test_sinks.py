"""What the sinks say of a job with failures in it."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from sonic_client import AsyncClient, RejectedRequestError, ServerUnreachableError
from sonic_client.report import (
    EventsFinished,
    MessageEnded,
    MessageSent,
    NonFiniteFound,
    Progress,
    ProgressMeter,
    PrometheusObserver,
    ServerChanged,
    TracingObserver,
)
from sonic_client.transport import FakeTransport

SERVER = "grpc://fake:8001"


class LosesFirst:
    """Loses the first call, and rejects event number 2."""

    has_lost = False

    async def __call__(self, call):
        if not self.has_lost:
            self.has_lost = True
            raise ServerUnreachableError(
                server=SERVER, status="UNAVAILABLE", details="lost"
            )
        column = call.inputs["FEATURES"][:, 0]
        if 2.0 in column:
            raise RejectedRequestError(
                server=SERVER, status="INVALID_ARGUMENT", details="bad"
            )
        return {"LABELS": column.astype("int64")}


@pytest.fixture
def run_job(metadata, config, make_request):
    """A job of four events with an observer: one lost call, one failed event."""

    async def run(observer):
        transport = FakeTransport(metadata, LosesFirst())
        client = AsyncClient(config, transport=transport, observers=[observer])
        async with client:
            async for _ in client.map(map(make_request, range(4))):
                pass
        return transport

    return run


async def test_prometheus_counts_tries_answers_and_events(run_job):
    registry = CollectorRegistry()

    await run_job(PrometheusObserver(registry))

    def value(name, **labels):
        return registry.get_sample_value(f"sonic_client_{name}", labels)

    assert value("tries_total", server=SERVER, status="OK") == 3
    assert value("tries_total", server=SERVER, status="UNAVAILABLE") == 1
    assert value("tries_total", server=SERVER, status="INVALID_ARGUMENT") == 1
    assert value("events_total", outcome="answered") == 3
    assert value("events_total", outcome="failed") == 1
    assert value("points_total") == 6
    assert value("bytes_total", direction="sent") == 3 * 24
    assert value("messages_total", server=SERVER, is_fallback="false") == 3
    assert value("latency_seconds_count", server=SERVER) == 3
    assert value("in_flight") == 0


def test_prometheus_counts_what_is_odd():
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)

    observer.nonfinite_found(NonFiniteFound(output="S", n_values=5, server=SERVER))
    observer.server_changed(ServerChanged(server=SERVER, state="open", reason=""))

    labels = {"server": SERVER, "state": "open"}
    assert (
        registry.get_sample_value("sonic_client_nonfinite_total", {"output": "S"}) == 5
    )
    assert registry.get_sample_value("sonic_client_server_changes_total", labels) == 1


async def test_every_message_is_a_span_and_every_try_an_event_of_it(run_job):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    transport = await run_job(TracingObserver(provider.get_tracer("test")))

    spans = {s.attributes["sonic.request_id"]: s for s in exporter.get_finished_spans()}
    assert sorted(spans) == ["0", "1", "2", "3"]
    statuses = sorted(
        event.attributes["rpc.grpc.status"]
        for span in spans.values()
        for event in span.events
    )
    assert statuses == ["INVALID_ARGUMENT", "OK", "OK", "OK", "UNAVAILABLE"]
    assert spans["2"].status.description == "RejectedRequestError"
    assert spans["3"].attributes["server.address"] == SERVER
    assert spans["3"].status.is_unset
    traces = {format(span.context.trace_id, "032x") for span in spans.values()}
    sent = {call.headers["traceparent"].split("-")[1] for call in transport.calls}
    assert sent == traces


async def test_progress_counts_what_is_done_and_in_flight(run_job):
    meter = ProgressMeter(total=4)

    await run_job(meter)

    progress = meter.progress()
    assert (progress.done, progress.failed, progress.in_flight) == (4, 1, 0)
    assert progress.events_per_s > 0.0
    assert progress.seconds_left == 0.0


def sent(message):
    return MessageSent(message=message, request_id="", model="m", events=1, n_bytes=0)


def test_progress_knows_rate_and_time_left():
    now = [100.0]
    meter = ProgressMeter(total=50, clock=lambda: now[0])
    for message in range(3):
        meter.message_sent(sent(message))
    meter.message_ended(MessageEnded(message=0))
    now[0] = 105.0
    meter.events_finished(EventsFinished(events=10))

    assert meter.progress() == Progress(10, 0, 2, 2.0, 20.0)


def test_the_rate_follows_the_last_half_minute():
    now = [0.0]
    meter = ProgressMeter(clock=lambda: now[0])
    for second in range(1, 201):  # fast at first, slow later
        now[0] = float(second)
        meter.events_finished(EventsFinished(events=100 if second <= 100 else 1))

    progress = meter.progress()

    assert progress.events_per_s == pytest.approx(1.0)
    assert progress.seconds_left is None


def test_progress_before_the_first_outcome():
    assert ProgressMeter(total=3, clock=lambda: 1.0).progress() == Progress(
        0, 0, 0, 0.0, None
    )
