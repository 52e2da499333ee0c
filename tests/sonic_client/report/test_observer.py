"""Who is told what, and that watching never ends a job."""

import logging

import pytest

from sonic_client import AsyncClient, Client, Observer, ServerUnreachableError
from sonic_client.transport import FakeTransport

LOST = ServerUnreachableError(server="s", status="UNAVAILABLE", details="lost")


class Record(Observer):
    """Keeps every event that it is told."""

    def __init__(self):
        self.events = []

    def message_sent(self, event):
        self.events.append(event)

    def try_ended(self, event):
        self.events.append(event)

    def message_answered(self, event):
        self.events.append(event)

    def message_ended(self, event):
        self.events.append(event)

    def events_finished(self, event):
        self.events.append(event)

    def names(self):
        return [type(event).__name__ for event in self.events]


def failing_first(n_failures):
    remaining = [LOST] * n_failures

    async def respond(call):
        if remaining:
            raise remaining.pop()
        return {"LABELS": call.inputs["FEATURES"][:, 0].astype("int64")}

    return respond


async def outcomes_of(config, transport, requests, observers):
    client = AsyncClient(config, transport=transport, observers=observers)
    async with client:
        return [outcome async for outcome in client.map(requests)]


async def test_a_message_is_announced_tried_answered_and_ended(
    metadata, config, make_request
):
    record = Record()
    transport = FakeTransport(metadata, failing_first(1))

    await outcomes_of(config, transport, [make_request(7, n_rows=3)], [record])

    sent, lost, ok, answered, ended, finished = record.events
    assert record.names() == [
        "MessageSent",
        "TryEnded",
        "TryEnded",
        "MessageAnswered",
        "MessageEnded",
        "EventsFinished",
    ]
    assert (sent.request_id, sent.model, sent.events) == ("7", "label", 1)
    assert (sent.n_bytes, answered.bytes_sent) == (36, 36)
    assert [(t.status, t.number) for t in (lost, ok)] == [("UNAVAILABLE", 1), ("OK", 2)]
    assert {t.message for t in (sent, lost, ok, ended)} == {sent.message}
    assert (answered.event_ids, answered.events) == ((7,), 1)
    assert ended.error == ""
    assert (finished.events, finished.failed_ids, finished.points) == (1, (), 3)


async def test_a_message_that_fails_ends_with_the_name_of_its_error(
    metadata, config, make_request
):
    record = Record()
    transport = FakeTransport(metadata, failing_first(3))

    await outcomes_of(config, transport, [make_request(7)], [record])

    ended, finished = record.events[-2:]
    assert ended.error == "TriesExhaustedError"
    assert (finished.failed_ids, finished.failed_events) == ((7,), 1)


async def test_an_observer_that_raises_is_logged_once_and_dismissed(
    metadata, config, make_request, caplog
):
    class Bad(Observer):
        def try_ended(self, event):
            raise ZeroDivisionError

    record = Record()
    transport = FakeTransport(metadata, failing_first(0))

    with caplog.at_level(logging.WARNING, "sonic_client.report.observer"):
        outcomes = await outcomes_of(
            config, transport, map(make_request, range(3)), [Bad(), record]
        )

    assert len(outcomes) == 3
    assert record.names().count("TryEnded") == 3
    (logged,) = caplog.records
    assert logged.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("ordered", [True, False])
def test_the_blocking_client_tells_observers_too(
    metadata, config, make_request, ordered
):
    record = Record()
    transport = FakeTransport(metadata, failing_first(0))

    with Client(config, transport=transport, observers=[record]) as client:
        list(client.map(map(make_request, range(3)), ordered=ordered))

    assert record.names().count("MessageEnded") == 3
