"""Events that share a message: by delay, by coincidence, and while others are sent."""

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest

from sonic_client import (
    Answer,
    AsyncClient,
    BatchingConfig,
    Client,
    RejectedRequestError,
    Timing,
    WindowConfig,
)
from sonic_client.transport import FakeTransport


def virtual_time():
    """A clock that sleeping moves, so that no test waits."""
    now_s = 0.0

    async def sleep(duration_s):
        nonlocal now_s
        now_s += duration_s
        await asyncio.sleep(0)

    return Timing(clock=lambda: now_s, sleep=sleep)


def stopped_time():
    """A clock that stands still: nothing is ever due."""

    async def sleep(duration_s):
        await asyncio.Event().wait()

    return Timing(clock=lambda: 0.0, sleep=sleep)


async def answer(call):
    return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}


class Gate:
    """Answers when the test opens it, and says when the first call arrived."""

    def __init__(self):
        self.arrived, self.opened = asyncio.Event(), asyncio.Event()
        self.was_cancelled = False

    async def __call__(self, call):
        self.arrived.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return await answer(call)


@pytest.fixture
def client_of(batch_metadata, config):
    """A client that joins events, and a function: the events of each of its calls."""

    def make(respond=answer, timing=None, kind=AsyncClient, **settings):
        transport = FakeTransport(batch_metadata, respond)
        batching = BatchingConfig(max_events=8)
        joining = replace(config, layout="concat", batching=batching, **settings)
        client = kind(joining, transport=transport, timing=timing)

        def sent():
            calls = (call.inputs["FEATURES"][:, 0].tolist() for call in transport.calls)
            return [sorted(set(call)) for call in calls]

        return client, sent

    return make


def test_a_batch_is_sent_though_the_reader_is_slow(client_of, make_request):
    has_arrived = threading.Event()

    async def respond(call):
        has_arrived.set()
        return await answer(call)

    def slow_reader():
        yield make_request(0)
        yield make_request(1)
        assert has_arrived.wait(20)  # never, if the batch waited for the reader
        yield make_request(2)

    client, sent = client_of(respond, virtual_time(), Client)
    with client:
        outcomes = list(client.map(slow_reader()))

    assert [outcome.request_id for outcome in outcomes] == [0, 1, 2]
    assert [event for call in sent() for event in call] == [0, 1, 2]


async def test_a_batch_is_sent_though_an_asynchronous_reader_is_slow(
    client_of, make_request
):
    gate = Gate()
    gate.opened.set()

    async def slow_reader():
        yield make_request(0)
        await gate.arrived.wait()
        yield make_request(1)

    client, _ = client_of(gate, virtual_time())
    async with client:
        outcomes = [outcome async for outcome in client.map(slow_reader())]

    assert [outcome.request_id for outcome in outcomes] == [0, 1]


async def test_an_answer_is_handed_out_while_the_reader_waits_for_it(
    metadata, config, make_request, echo_rows
):
    is_handed_out = asyncio.Event()

    async def reader():
        yield make_request(0)
        await is_handed_out.wait()
        yield make_request(1)

    seen = []
    async with AsyncClient(
        config, transport=FakeTransport(metadata, echo_rows)
    ) as client:
        async for outcome in client.map(reader()):
            seen.append(outcome.request_id)
            is_handed_out.set()

    assert seen == [0, 1]


def test_the_next_chunk_is_read_while_requests_are_in_flight(
    metadata, config, make_request
):
    is_next_chunk_read = threading.Event()

    async def respond(call):
        # Answers only when the reader is ahead: without overlap, never.
        await asyncio.to_thread(is_next_chunk_read.wait, 20)
        assert is_next_chunk_read.is_set()
        return await answer(call)

    def chunks():
        for number in range(8):
            if number == 4:
                is_next_chunk_read.set()
            yield make_request(number)

    with Client(config, transport=FakeTransport(metadata, respond)) as client:
        outcomes = list(client.map(chunks()))

    assert [outcome.request_id for outcome in outcomes] == list(range(8))


async def test_calls_made_at_once_share_a_message(client_of, make_request):
    client, sent = client_of(timing=stopped_time())
    async with client:
        answers = await asyncio.gather(
            *(client.infer(make_request(n, n_rows=n).inputs) for n in range(1, 12))
        )

    assert [a["LABELS"].tolist() for a in answers] == [[n] * n for n in range(1, 12)]
    assert sent() == [[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11]]


async def test_a_single_call_waits_for_no_other(client_of, make_request):
    client, sent = client_of(timing=stopped_time())
    async with client:
        for number in range(3):
            await client.infer(make_request(number).inputs)

    assert sent() == [[0], [1], [2]]


async def test_calls_made_while_one_is_in_flight_are_sent_together_after_it(
    client_of, make_request
):
    gate = Gate()
    client, sent = client_of(gate, stopped_time())
    async with client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.infer(make_request(0).inputs))
        await gate.arrived.wait()
        for number in (1, 2, 3):
            tasks.create_task(client.infer(make_request(number).inputs))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert sent() == [[0]]
        gate.opened.set()

    assert sent() == [[0], [1, 2, 3]]


async def test_a_call_waits_no_longer_than_the_delay(client_of, make_request):
    arrived, second_is_sent = asyncio.Event(), asyncio.Event()

    async def respond(call):
        arrived.set()
        if call.inputs["FEATURES"][0, 0] == 0:
            await second_is_sent.wait()
        else:
            second_is_sent.set()
        return await answer(call)

    client, sent = client_of(respond, virtual_time())
    async with client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.infer(make_request(0).inputs))
        await arrived.wait()
        tasks.create_task(client.infer(make_request(1).inputs))

    assert sent() == [[0], [1]]


async def test_a_call_that_the_server_rejects_fails_alone(client_of, make_request):
    async def respond(call):
        if 2.0 in call.inputs["FEATURES"]:
            raise RejectedRequestError(
                server="s", status="INVALID_ARGUMENT", details="bad"
            )
        return await answer(call)

    client, _ = client_of(respond)
    async with client:
        results = await asyncio.gather(
            *(client.infer(make_request(n).inputs) for n in range(4)),
            return_exceptions=True,
        )

    assert [n for n, r in enumerate(results) if isinstance(r, Exception)] == [2]


async def test_a_cancelled_call_leaves_the_batch_that_is_not_sent_yet(
    client_of, make_request
):
    gate = Gate()
    client, sent = client_of(gate, stopped_time())
    async with client:
        tasks = [asyncio.create_task(client.infer(make_request(0).inputs))]
        await gate.arrived.wait()
        tasks += [
            asyncio.create_task(client.infer(make_request(n).inputs)) for n in (1, 2)
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        gate.opened.set()
        await asyncio.wait(tasks)

    assert tasks[1].cancelled()
    assert sent() == [[0], [2]]


async def test_a_message_that_nobody_waits_for_is_cancelled(client_of, make_request):
    gate = Gate()
    client, sent = client_of(gate)
    async with client:
        tasks = [
            asyncio.create_task(client.infer(make_request(n).inputs)) for n in (0, 1)
        ]
        await gate.arrived.wait()
        for task, was_cancelled in zip(tasks, (False, True), strict=True):
            task.cancel()
            for _ in range(5):  # the call is cancelled a few turns of the loop later
                await asyncio.sleep(0)
            assert gate.was_cancelled == was_cancelled

    assert sent() == [[0, 1]]


def test_calls_of_several_threads_get_their_own_answers(client_of, make_request):
    answers = {}

    def work(number):
        outputs = client.infer(make_request(number, n_rows=number + 1).inputs)
        answers[number] = outputs["LABELS"].tolist()

    client, _ = client_of(kind=Client)
    with client:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == {n: [n] * (n + 1) for n in range(12)}


async def test_a_window_of_one_still_gets_everything_through(client_of, make_request):
    client, _ = client_of(timing=virtual_time(), window=WindowConfig(max_requests=1))
    async with client:
        outcomes = [o async for o in client.map(map(make_request, range(50)))]

    assert [outcome.request_id for outcome in outcomes] == list(range(50))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
