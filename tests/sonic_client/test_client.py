"""The asynchronous client over a transport without a wire."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_client import (
    Answer,
    AsyncClient,
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
from sonic_client.transport.fake import FakeTransport


class Gate:
    """A model whose answers wait until the test opens the gate."""

    def __init__(self):
        self.opened, self.arrived = asyncio.Event(), asyncio.Event()
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


async def test_infer_returns_the_outputs(metadata, config, echo_rows):
    transport = FakeTransport(metadata, echo_rows)

    async with AsyncClient(config, transport=transport) as client:
        outputs = await client.infer({"FEATURES": np.ones((2, 3), np.float32)})

    assert outputs["LABELS"].tolist() == [1, 1]


async def test_infer_raises_what_was_wrong(metadata, config):
    error = RejectedRequestError(server="s", status="INTERNAL", details="bad")

    async def respond(call):
        raise error

    transport = FakeTransport(metadata, respond)

    async with AsyncClient(config, transport=transport) as client:
        with pytest.raises(TensorMismatchError):
            await client.infer({"FEATURES": np.ones((2, 3))})
        assert transport.calls == []
        with pytest.raises(RejectedRequestError):
            await client.infer({"FEATURES": np.ones((2, 3), np.float32)})


async def test_metadata_is_read_when_the_client_is_opened(metadata, config, echo_rows):
    transport = FakeTransport(metadata, echo_rows)
    client = AsyncClient(config, transport=transport)
    assert not transport.is_open

    async with client:
        assert transport.is_open
        assert client.metadata == metadata

    assert not transport.is_open


async def test_a_model_that_does_not_fit_the_layout_closes_the_transport(
    metadata, config, echo_rows
):
    transport = FakeTransport(metadata, echo_rows)
    client = AsyncClient(replace(config, layout="concat"), transport=transport)

    with pytest.raises(ConfigError, match="no input ROW_SPLITS"):
        await client.__aenter__()
    assert not transport.is_open


async def test_a_client_is_used_while_open_only(metadata, config, echo_rows):
    client = AsyncClient(config, transport=FakeTransport(metadata, echo_rows))

    with pytest.raises(ClientClosedError):
        await client.infer({})
    async with client:
        pass
    with pytest.raises(ClientClosedError):
        await client.infer({})
    with pytest.raises(ClientClosedError):
        await client.__aenter__()


async def test_the_callers_own_error_leaves_the_client_as_it_is(
    metadata, config, echo_rows
):
    with pytest.raises(ZeroDivisionError):
        async with AsyncClient(config, transport=FakeTransport(metadata, echo_rows)):
            raise ZeroDivisionError


LABEL = ModelMetadata(
    name="label",
    version="3",
    platform="python",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
)


@settings(max_examples=30, deadline=None)
@given(
    st.randoms(use_true_random=False), st.integers(1, 6), st.booleans(), st.booleans()
)
def test_every_request_has_one_outcome_whatever_order_answers_come_in(
    random, max_requests, ordered, is_async
):
    async def respond(call):
        for _ in range(random.randrange(6)):
            await asyncio.sleep(0)
        if random.random() < 0.2:
            raise RejectedRequestError(server="s", status="INTERNAL", details="")
        return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}

    async def outcomes():
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
        async with AsyncClient(config, transport=FakeTransport(LABEL, respond)) as c:
            source = slowly() if is_async else requests
            return [outcome async for outcome in c.map(source, ordered=ordered)]

    results = asyncio.run(outcomes())

    ids = [outcome.request_id for outcome in results]
    assert sorted(ids) == list(range(25))
    assert ids == sorted(ids) or not ordered
    for outcome in results:
        if isinstance(outcome, Answer):
            assert outcome.outputs["LABELS"].tolist() == [outcome.request_id]


async def test_window_bounds_what_is_in_flight_and_what_is_read(
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
        await gate.arrived.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        n_read_while_closed = n_read
        gate.opened.set()
        rest = [await first] + [outcome async for outcome in outcomes]

    assert n_read_while_closed == 4 + 1  # the fifth was read and waits
    assert gate.most_inside == 4
    assert len(rest) == 50


async def test_unordered_outcomes_do_not_wait_for_a_late_one(
    metadata, config, make_request
):
    late = asyncio.Event()

    async def respond(call):
        labels = call.inputs["FEATURES"][:, 0].astype(np.int64)
        if labels[0] == 0:
            await late.wait()
        return {"LABELS": labels}

    async with AsyncClient(
        config, transport=FakeTransport(metadata, respond)
    ) as client:
        requests = [make_request(number) for number in range(5)]
        ids = []
        async for outcome in client.map(requests, ordered=False):
            ids.append(outcome.request_id)
            if len(ids) == 4:
                late.set()

    assert ids == [1, 2, 3, 4, 0]


async def test_closing_the_generator_cancels_what_is_in_flight(
    metadata, config, make_request
):
    gate = Gate()
    transport = FakeTransport(metadata, gate)
    async with AsyncClient(config, transport=transport) as client:
        requests = (make_request(number) for number in range(50))
        async with aclosing(client.map(requests)) as outcomes:
            waiting = asyncio.ensure_future(anext(outcomes))
            await gate.arrived.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        assert gate.n_inside == 0
        assert gate.n_cancelled == len(transport.calls) > 0
        assert client.statistics().tries == {"LOCALLY_CANCELLED": gate.n_cancelled}


async def test_an_error_of_the_reader_passes_after_cancelling(
    metadata, config, make_request
):
    gate = Gate()

    async def requests():
        yield make_request(0)
        await gate.arrived.wait()
        raise ZeroDivisionError("in the reader")

    async with AsyncClient(config, transport=FakeTransport(metadata, gate)) as client:
        with pytest.raises(ZeroDivisionError, match="in the reader"):
            await anext(client.map(requests()))
        assert (gate.n_inside, gate.n_cancelled) == (0, 1)


async def test_leaving_the_client_cancels_what_is_in_flight(
    metadata, config, make_request
):
    gate = Gate()
    async with AsyncClient(config, transport=FakeTransport(metadata, gate)) as client:
        outcomes = client.map([make_request(0)])
        waiting = asyncio.ensure_future(anext(outcomes))
        await gate.arrived.wait()

    with pytest.raises(ClientClosedError):
        await waiting
    assert gate.n_cancelled == 1


async def test_a_bug_in_a_transport_reaches_the_one_who_iterates(
    metadata, config, make_request
):
    async def respond(call):
        raise ZeroDivisionError("bug")

    async with AsyncClient(
        config, transport=FakeTransport(metadata, respond)
    ) as client:
        with pytest.raises(ZeroDivisionError, match="bug"):
            await anext(client.map([make_request(0)]))


async def test_no_requests_have_no_outcomes(metadata, config, echo_rows):
    async with AsyncClient(
        config, transport=FakeTransport(metadata, echo_rows)
    ) as client:
        assert [outcome async for outcome in client.map([])] == []


async def test_summary_splits_the_servers_time_since_opening(
    metadata, config, echo_rows, make_request
):
    transport = FakeTransport(metadata, echo_rows)
    transport.calls = [None] * 7  # what other clients asked before

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
