"""Both clients over a transport without a wire; with `Client`, also its thread."""

import asyncio
import threading
from contextlib import aclosing
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_client import (
    Answer,
    AsyncClient,
    Client,
    ClientClosedError,
    ClientConfig,
    ConfigError,
    ModelMetadata,
    RejectedRequestError,
    Request,
    TensorMismatchError,
    TensorSpec,
    WindowConfig,
)
from sonic_client.transport import FakeTransport

LABEL = ModelMetadata(
    name="label",
    version="3",
    platform="python",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
)
FEATURES = {"FEATURES": np.ones((2, 3), np.float32)}

both = pytest.mark.parametrize("kind", [Client, AsyncClient])


def use(kind, config, transport, *uses):
    """The results of functions of an open client, and the client."""
    client = kind(config, transport=transport)
    if kind is Client:
        with client:
            return [each(client) for each in uses], client

    async def run():
        async with client:
            return [await each(client) for each in uses], client

    return asyncio.run(run())


def outcomes_of(kind, config, transport, requests, *, ordered=True):
    if kind is Client:
        return use(
            kind, config, transport, lambda c: list(c.map(requests, ordered=ordered))
        )[0][0]

    async def collect(client):
        return [each async for each in client.map(requests, ordered=ordered)]

    return use(kind, config, transport, collect)[0][0]


async def reject(call):
    raise RejectedRequestError(server="s", status="INTERNAL", details="bad")


class Gate:
    """A model whose answers wait until the test opens the gate, and which counts."""

    def __init__(self):
        self.opened, self.arrived = asyncio.Event(), threading.Event()
        self.n_inside = self.most_inside = self.n_cancelled = 0

    async def __call__(self, call):
        self.n_inside += 1
        self.most_inside = max(self.most_inside, self.n_inside)
        self.arrived.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        finally:
            self.n_inside -= 1
        return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}

    async def until_arrived(self):
        await asyncio.to_thread(self.arrived.wait, 10.0)


@both
def test_infer_returns_the_outputs(metadata, config, echo_rows, kind):
    transport = FakeTransport(metadata, echo_rows)
    assert not transport.is_open

    (outputs,), client = use(kind, config, transport, lambda c: c.infer(FEATURES))

    assert outputs["LABELS"].tolist() == [1, 1]
    assert client.metadata == metadata
    assert not transport.is_open


@both
@pytest.mark.parametrize(
    ("inputs", "error", "n_calls"),
    [
        ({"FEATURES": np.ones((2, 3))}, TensorMismatchError, 0),
        (FEATURES, RejectedRequestError, 1),
    ],
    ids=["mismatch", "rejected"],
)
def test_infer_raises_the_error_of_its_request(
    metadata, config, kind, inputs, error, n_calls
):
    transport = FakeTransport(metadata, reject)

    with pytest.raises(error):
        use(kind, config, transport, lambda client: client.infer(inputs))

    assert len(transport.calls) == n_calls


@pytest.fixture
def loop_threads():
    """Function: the threads of clients that the test has opened."""

    def threads():
        return {each for each in threading.enumerate() if each.name == "sonic-client"}

    others = threads()  # of clients that live as long as the process
    return lambda: threads() - others


@both
def test_a_model_that_does_not_fit_the_layout_closes_everything(
    metadata, config, echo_rows, loop_threads, kind
):
    transport = FakeTransport(metadata, echo_rows)

    with pytest.raises(ConfigError, match="no input ROW_SPLITS"):
        use(kind, replace(config, layout="concat"), transport)

    assert not transport.is_open
    assert loop_threads() == set()


async def test_a_client_is_used_while_open_only(
    metadata, config, echo_rows, loop_threads
):
    blocking, client = (
        kind(config, transport=FakeTransport(metadata, echo_rows))
        for kind in (Client, AsyncClient)
    )
    with pytest.raises(ClientClosedError, match="use it in `with`"):
        blocking.statistics()
    with pytest.raises(ClientClosedError, match="use it in `async with`"):
        await client.infer(FEATURES)

    with blocking:
        assert len(loop_threads()) == 1
    async with client:
        pass

    assert loop_threads() == set()
    with pytest.raises(ClientClosedError, match="is closed"):
        blocking.infer(FEATURES)
    with pytest.raises(ClientClosedError, match="is closed"):
        await client.infer(FEATURES)
    with pytest.raises(ClientClosedError, match="opens only once"):
        blocking.__enter__()
    with pytest.raises(ClientClosedError, match="opens only once"):
        await client.__aenter__()


@both
def test_the_callers_own_error_leaves_the_client_as_it_is(
    metadata, config, echo_rows, kind
):
    def fail(client):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use(kind, config, FakeTransport(metadata, echo_rows), fail)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from(["blocking", "plain iterable", "async iterable"]),
)
def test_every_request_has_one_outcome_whatever_order_answers_come_in(
    seed, max_requests, ordered, form
):
    # Not drawn by hypothesis, because the client's thread does not repeat itself.
    random = Random(seed)

    async def respond(call):
        for _ in range(random.randrange(6)):
            await asyncio.sleep(0)
        if random.random() < 0.2:
            await reject(call)
        return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}

    requests = (
        Request(n, {"FEATURES": np.full((1, 3), n, np.float32)}) for n in range(25)
    )

    async def slowly():
        for request in requests:
            await asyncio.sleep(0)
            yield request

    config = ClientConfig(
        servers="fake:1",
        model_name="label",
        window=WindowConfig(max_requests=max_requests),
    )
    results = outcomes_of(
        Client if form == "blocking" else AsyncClient,
        config,
        FakeTransport(LABEL, respond),
        slowly() if form == "async iterable" else requests,
        ordered=ordered,
    )

    ids = [outcome.request_id for outcome in results]
    assert sorted(ids) == list(range(25))
    assert ids == sorted(ids) or not ordered
    for outcome in results:
        if isinstance(outcome, Answer):
            assert outcome.outputs["LABELS"].tolist() == [outcome.request_id]


@both
def test_no_requests_have_no_outcomes(metadata, config, echo_rows, kind):
    assert outcomes_of(kind, config, FakeTransport(metadata, echo_rows), []) == []


@both
def test_a_bug_in_a_transport_reaches_the_caller(metadata, config, make_request, kind):
    async def respond(call):
        raise ZeroDivisionError("bug")

    transport = FakeTransport(metadata, respond)

    with pytest.raises(ZeroDivisionError, match="bug"):
        outcomes_of(kind, config, transport, [make_request(0)])


async def test_the_window_bounds_the_messages_in_flight_and_the_reader(
    metadata, config, make_request
):
    gate, n_read = Gate(), 0

    def requests():
        nonlocal n_read
        for number in range(50):
            n_read += 1
            yield make_request(number)

    config = replace(config, window=WindowConfig(max_requests=4))
    async with AsyncClient(config, transport=FakeTransport(metadata, gate)) as client:
        first = asyncio.ensure_future(anext(outcomes := client.map(requests())))
        await gate.until_arrived()
        for _ in range(100):
            await asyncio.sleep(0)
        n_read_while_closed = n_read
        gate.opened.set()
        rest = [await first] + [outcome async for outcome in outcomes]

    assert n_read_while_closed == 4 + 1  # the fifth was read and waits
    assert gate.most_inside == 4
    assert len(rest) == 50


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


async def test_unordered_outcomes_do_not_wait_for_a_late_one(
    metadata, config, make_request
):
    late = asyncio.Event()

    async def respond(call):
        labels = call.inputs["FEATURES"][:, 0].astype(np.int64)
        if labels[0] == 0:
            await late.wait()
        return {"LABELS": labels}

    transport = FakeTransport(metadata, respond)
    async with AsyncClient(config, transport=transport) as client:
        requests = [make_request(number) for number in range(5)]
        ids = []
        async for outcome in client.map(requests, ordered=False):
            ids.append(outcome.request_id)
            if len(ids) == 4:
                late.set()

    assert ids == [1, 2, 3, 4, 0]


def test_the_blocking_client_reads_in_the_callers_thread_while_others_are_in_flight(
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

    transport = FakeTransport(metadata, respond)
    assert len(outcomes_of(Client, config, transport, requests())) == 3
    assert readers == {threading.current_thread()}


async def test_closing_the_generator_cancels_what_is_in_flight(
    metadata, config, make_request
):
    gate = Gate()
    transport = FakeTransport(metadata, gate)
    async with AsyncClient(config, transport=transport) as client:
        requests = (make_request(number) for number in range(50))
        async with aclosing(client.map(requests)) as outcomes:
            waiting = asyncio.ensure_future(anext(outcomes))
            await gate.until_arrived()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        assert gate.n_inside == 0
        assert gate.n_cancelled == len(transport.calls) > 0
        assert client.statistics().tries == {"LOCALLY_CANCELLED": gate.n_cancelled}


def test_closing_the_blocking_generator_cancels_what_is_in_flight(
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


@both
def test_an_error_of_the_reader_passes_after_cancelling(
    metadata, config, make_request, kind
):
    gate = Gate()

    def requests():
        yield make_request(0)
        assert gate.arrived.wait(10.0)
        raise ZeroDivisionError("in the reader")

    async def slowly():
        yield make_request(0)
        await gate.until_arrived()
        raise ZeroDivisionError("in the reader")

    source = requests() if kind is Client else slowly()
    with pytest.raises(ZeroDivisionError, match="in the reader"):
        outcomes_of(kind, config, FakeTransport(metadata, gate), source)
    assert (gate.n_inside, gate.n_cancelled) == (0, 1)


async def test_leaving_the_client_cancels_what_is_in_flight(
    metadata, config, make_request
):
    gate = Gate()
    async with AsyncClient(config, transport=FakeTransport(metadata, gate)) as client:
        waiting = asyncio.ensure_future(anext(client.map([make_request(0)])))
        await gate.until_arrived()

    with pytest.raises(ClientClosedError):
        await waiting
    assert gate.n_cancelled == 1


def test_closing_the_blocking_client_ends_a_map_in_another_thread(
    metadata, config, make_request
):
    errors, gate = [], Gate()

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
    assert (gate.n_inside, gate.n_cancelled) == (0, 1)


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


async def test_summary_splits_the_servers_time_since_opening(
    metadata, config, echo_rows, make_request
):
    transport = FakeTransport(metadata, echo_rows)
    transport.calls = [None] * 7  # calls of other clients before

    async with AsyncClient(config, transport=transport) as client:
        async for _ in client.map([make_request(n, n_rows=n) for n in range(1, 5)]):
            pass
        during = await client.summary()
    after = await client.summary()

    spent = during.servers[transport.server].spent
    assert (spent.requests, spent.compute_infer_s) == (4, 4.0)
    assert after.client == during.client
    assert (during.client.events, during.client.points) == (4, 1 + 2 + 3 + 4)
    assert during.client.bytes_sent == 10 * 3 * 4
    assert during.client.bytes_received == 10 * 8
    assert during.elapsed_s <= after.elapsed_s
    assert after.elapsed_s == (await client.summary()).elapsed_s


def test_the_summary_of_the_blocking_client_is_kept_after_closing(
    metadata, config, make_request, echo_rows
):
    transport = FakeTransport(metadata, echo_rows)

    with Client(config, transport=transport) as client:
        list(client.map([make_request(0)]))
    summary = client.summary()

    assert summary.client.events == 1
    assert summary.servers[transport.server].spent.requests == 1
