"""The blocking client: its thread, and what ends it."""

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest

from sonic_client import (
    Client,
    ClientClosedError,
    ConfigError,
    RejectedRequestError,
    TensorMismatchError,
    WindowConfig,
)
from sonic_client.transport.fake import FakeTransport


@pytest.fixture
def loop_threads():
    """Function: the threads of clients that the test has opened."""

    def threads():
        return {each for each in threading.enumerate() if each.name == "sonic-client"}

    others = threads()  # of clients that live as long as the process
    return lambda: threads() - others


@pytest.fixture
def gate():
    """A model that answers no one, and counts whom it keeps waiting."""

    class Gate:
        def __init__(self):
            self.arrived = threading.Event()
            self.n_inside = self.n_cancelled = 0

        async def __call__(self, call):
            self.n_inside += 1
            self.arrived.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.n_inside -= 1
                self.n_cancelled += 1

    return Gate()


def test_infer_returns_the_outputs_or_raises(metadata, config, echo_rows):
    with Client(config, transport=FakeTransport(metadata, echo_rows)) as client:
        assert client.metadata == metadata
        outputs = client.infer({"FEATURES": np.ones((2, 3), np.float32)})
        with pytest.raises(TensorMismatchError):
            client.infer({"FEATURES": np.ones(3)})

    assert outputs["LABELS"].tolist() == [1, 1]


@pytest.mark.parametrize("ordered", [True, False])
def test_map_gives_every_request_one_outcome(
    metadata, config, make_request, echo_rows, ordered
):
    requests = (make_request(number) for number in range(100))

    with Client(config, transport=FakeTransport(metadata, echo_rows)) as client:
        outcomes = list(client.map(requests, ordered=ordered))

    ids = [outcome.request_id for outcome in outcomes]
    assert sorted(ids) == list(range(100))
    assert ids == sorted(ids) or not ordered
    assert client.statistics().events == 100


def test_reading_happens_in_the_callers_thread_while_requests_are_in_flight(
    metadata, config, make_request
):
    in_flight, readers = threading.Event(), set()

    async def respond(call):
        in_flight.set()
        return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}

    def requests():
        for number in range(3):
            readers.add(threading.current_thread())
            yield make_request(number)
            # The first request is sent while the second is being read.
            assert in_flight.wait(10.0)

    with Client(config, transport=FakeTransport(metadata, respond)) as client:
        assert len(list(client.map(requests()))) == 3
    assert readers == {threading.current_thread()}


def test_a_slow_consumer_stops_the_reader(metadata, config, make_request, echo_rows):
    n_read = 0

    def requests():
        nonlocal n_read
        for number in range(100):
            n_read += 1
            yield make_request(number)

    config = replace(config, window=WindowConfig(max_requests=3))
    with Client(config, transport=FakeTransport(metadata, echo_rows)) as client:
        for n_consumed, _ in enumerate(client.map(requests()), start=1):
            assert n_read <= n_consumed + 2 * 3

    assert n_read == 100


def test_an_error_of_the_reader_passes_after_cancelling(
    metadata, config, make_request, gate
):
    def requests():
        yield make_request(0)
        assert gate.arrived.wait(10.0)
        raise ZeroDivisionError("in the reader")

    with Client(config, transport=FakeTransport(metadata, gate)) as client:
        with pytest.raises(ZeroDivisionError, match="in the reader"):
            next(client.map(requests()))
        assert (gate.n_inside, gate.n_cancelled) == (0, 1)


def test_closing_the_generator_cancels_what_is_in_flight(
    metadata, config, make_request
):
    all_wait, n_waiting, n_cancelled = threading.Event(), 0, 0

    async def respond(call):
        nonlocal n_waiting, n_cancelled
        if call.inputs["FEATURES"][0, 0] == 0:
            await asyncio.to_thread(all_wait.wait, 10.0)
            return {"LABELS": np.zeros(2, np.int64)}
        n_waiting += 1
        if n_waiting == 4:
            all_wait.set()
        try:
            await asyncio.Event().wait()
        finally:
            n_cancelled += 1

    with Client(config, transport=FakeTransport(metadata, respond)) as client:
        outcomes = client.map(make_request(number) for number in range(5))
        assert next(outcomes).request_id == 0
        outcomes.close()
        assert n_cancelled == 4


def test_closing_the_client_ends_a_map_in_another_thread(
    metadata, config, make_request, gate
):
    errors = []

    def consume():
        try:
            list(client.map([make_request(0)]))
        except ClientClosedError as error:
            errors.append(error)

    with Client(config, transport=FakeTransport(metadata, gate)) as client:
        thread = threading.Thread(target=consume)
        thread.start()
        assert gate.arrived.wait(10.0)
    thread.join(10.0)

    assert len(errors) == 1
    assert gate.n_inside == 0


def test_leaving_ends_the_thread(metadata, config, echo_rows, loop_threads):
    with Client(config, transport=FakeTransport(metadata, echo_rows)) as client:
        assert len(loop_threads()) == 1

    assert loop_threads() == set()
    with pytest.raises(ClientClosedError):
        client.infer({})


def test_opening_in_vain_raises_here_and_ends_the_thread(
    metadata, config, echo_rows, loop_threads
):
    transport = FakeTransport(metadata, echo_rows)
    client = Client(replace(config, layout="concat"), transport=transport)

    with pytest.raises(ConfigError):
        client.__enter__()
    assert not transport.is_open
    assert loop_threads() == set()


def test_a_client_is_not_used_before_it_is_opened(config):
    with pytest.raises(ClientClosedError, match="use it in `with`"):
        Client(config).statistics()


def test_the_callers_own_error_leaves_the_client_as_it_is(metadata, config, gate):
    with (
        pytest.raises(ZeroDivisionError),
        Client(config, transport=FakeTransport(metadata, gate)),
    ):
        raise ZeroDivisionError


def test_several_threads_share_a_client(metadata, config, make_request, echo_rows):
    results = {}

    def work(start):
        requests = [make_request(number) for number in range(start, start + 50)]
        results[start] = [outcome.request_id for outcome in client.map(requests)]

    with Client(config, transport=FakeTransport(metadata, echo_rows)) as client:
        threads = [threading.Thread(target=work, args=(s,)) for s in (0, 100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10.0)

    assert results == {s: list(range(s, s + 50)) for s in (0, 100, 200)}
    assert client.statistics().events == 150


def test_summary_is_kept_after_closing(metadata, config, make_request, echo_rows):
    transport = FakeTransport(metadata, echo_rows)

    with Client(config, transport=transport) as client:
        list(client.map([make_request(0)]))
    summary = client.summary()

    assert summary.client.events == 1
    assert summary.servers[transport.server].spent.requests == 1


def test_a_rejected_request_raises_from_infer(metadata, config):
    async def respond(call):
        raise RejectedRequestError(server="s", status="INTERNAL", details="bad")

    with (
        Client(config, transport=FakeTransport(metadata, respond)) as client,
        pytest.raises(RejectedRequestError),
    ):
        client.infer({"FEATURES": np.ones((2, 3), np.float32)})
