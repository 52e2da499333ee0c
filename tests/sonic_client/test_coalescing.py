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
    WindowConfig,
)
from sonic_client.retry import Timing
from sonic_client.transport.fake import FakeTransport


class VirtualTime:
    """A clock that sleeping moves, so that no test waits."""

    def __init__(self):
        self.now_s = 0.0

    async def sleep(self, duration_s):
        self.now_s += duration_s
        await asyncio.sleep(0)

    @property
    def timing(self):
        return Timing(clock=lambda: self.now_s, sleep=self.sleep)


class StoppedTime:
    """A clock that stands still: nothing is ever due."""

    async def sleep(self, duration_s):
        await asyncio.Event().wait()

    @property
    def timing(self):
        return Timing(clock=lambda: 0.0, sleep=self.sleep)


def labels_of(call):
    return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}


def events_per_call(transport):
    return [len(call.inputs["ROW_SPLITS"]) - 1 for call in transport.calls]


@pytest.fixture
def concat_config(config):
    return replace(config, layout="concat", batching=BatchingConfig(max_events=8))


def test_a_batch_is_sent_though_the_reader_is_slow(
    batch_metadata, concat_config, make_request
):
    has_arrived = threading.Event()

    async def respond(call):
        has_arrived.set()
        return labels_of(call)

    def slow_reader():
        yield make_request(0)
        yield make_request(1)
        assert has_arrived.wait(20)  # never, if the batch waited for the reader
        yield make_request(2)

    transport = FakeTransport(batch_metadata, respond)
    timing = VirtualTime().timing
    with Client(concat_config, transport=transport, timing=timing) as client:
        outcomes = list(client.map(slow_reader()))

    assert [outcome.request_id for outcome in outcomes] == [0, 1, 2]
    assert sum(events_per_call(transport)) == 3


async def test_a_batch_is_sent_though_an_asynchronous_reader_is_slow(
    batch_metadata, concat_config, make_request
):
    has_arrived = asyncio.Event()

    async def respond(call):
        has_arrived.set()
        return labels_of(call)

    async def slow_reader():
        yield make_request(0)
        await has_arrived.wait()
        yield make_request(1)

    transport = FakeTransport(batch_metadata, respond)
    timing = VirtualTime().timing
    async with AsyncClient(concat_config, transport=transport, timing=timing) as client:
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
        return labels_of(call)

    def chunks():
        for number in range(4):
            yield make_request(number)
        is_next_chunk_read.set()
        for number in range(4, 8):
            yield make_request(number)

    transport = FakeTransport(metadata, respond)
    with Client(config, transport=transport) as client:
        outcomes = list(client.map(chunks()))

    assert [outcome.request_id for outcome in outcomes] == list(range(8))


async def test_calls_made_at_once_share_a_message(
    batch_metadata, concat_config, make_request
):
    async def respond(call):
        return labels_of(call)

    transport = FakeTransport(batch_metadata, respond)
    timing = StoppedTime().timing
    async with AsyncClient(concat_config, transport=transport, timing=timing) as client:
        answers = await asyncio.gather(
            *(client.infer(make_request(n, n_rows=n).inputs) for n in range(1, 12))
        )

    assert [a["LABELS"].tolist() for a in answers] == [[n] * n for n in range(1, 12)]
    assert events_per_call(transport) == [8, 3]


async def test_a_lone_call_waits_for_nobody(
    batch_metadata, concat_config, make_request
):
    async def respond(call):
        return labels_of(call)

    transport = FakeTransport(batch_metadata, respond)
    timing = StoppedTime().timing
    async with AsyncClient(concat_config, transport=transport, timing=timing) as client:
        for number in range(3):
            await client.infer(make_request(number).inputs)

    assert events_per_call(transport) == [1, 1, 1]


async def test_calls_made_while_one_is_in_flight_are_sent_together_after_it(
    batch_metadata, concat_config, make_request
):
    first_may_end = asyncio.Event()
    arrived = asyncio.Event()

    async def respond(call):
        arrived.set()
        await first_may_end.wait()
        return labels_of(call)

    transport = FakeTransport(batch_metadata, respond)
    timing = StoppedTime().timing
    client = AsyncClient(concat_config, transport=transport, timing=timing)
    async with client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.infer(make_request(0).inputs))
        await arrived.wait()
        for number in (1, 2, 3):
            tasks.create_task(client.infer(make_request(number).inputs))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert events_per_call(transport) == [1]
        first_may_end.set()

    assert events_per_call(transport) == [1, 3]


async def test_a_call_waits_no_longer_than_the_delay(
    batch_metadata, concat_config, make_request
):
    second_is_sent = asyncio.Event()
    arrived = asyncio.Event()

    async def respond(call):
        arrived.set()
        if call.inputs["FEATURES"][0, 0] == 0:
            await second_is_sent.wait()
        else:
            second_is_sent.set()
        return labels_of(call)

    transport = FakeTransport(batch_metadata, respond)
    timing = VirtualTime().timing
    client = AsyncClient(concat_config, transport=transport, timing=timing)
    async with client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.infer(make_request(0).inputs))
        await arrived.wait()
        tasks.create_task(client.infer(make_request(1).inputs))

    assert events_per_call(transport) == [1, 1]


async def test_a_poisoned_call_fails_alone(batch_metadata, concat_config, make_request):
    async def respond(call):
        if 2.0 in call.inputs["FEATURES"]:
            raise RejectedRequestError(
                server="s", status="INVALID_ARGUMENT", details="bad"
            )
        return labels_of(call)

    transport = FakeTransport(batch_metadata, respond)
    async with AsyncClient(concat_config, transport=transport) as client:
        results = await asyncio.gather(
            *(client.infer(make_request(n).inputs) for n in range(4)),
            return_exceptions=True,
        )

    failed = [n for n, r in enumerate(results) if isinstance(r, Exception)]
    assert failed == [2]


async def test_a_cancelled_call_leaves_the_batch_that_is_not_sent_yet(
    batch_metadata, concat_config, make_request
):
    first_may_end = asyncio.Event()
    arrived = asyncio.Event()

    async def respond(call):
        arrived.set()
        await first_may_end.wait()
        return labels_of(call)

    transport = FakeTransport(batch_metadata, respond)
    timing = StoppedTime().timing
    async with AsyncClient(concat_config, transport=transport, timing=timing) as client:
        tasks = [asyncio.create_task(client.infer(make_request(0).inputs))]
        await arrived.wait()
        tasks += [
            asyncio.create_task(client.infer(make_request(n).inputs)) for n in (1, 2)
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        first_may_end.set()
        await asyncio.wait(tasks)

    assert tasks[1].cancelled()
    assert transport.calls[1].inputs["FEATURES"][:, 0].tolist() == [2, 2]


async def test_a_message_that_nobody_waits_for_is_cancelled(
    batch_metadata, concat_config, make_request
):
    is_cancelled = asyncio.Event()
    arrived = asyncio.Event()

    async def respond(call):
        arrived.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise

    transport = FakeTransport(batch_metadata, respond)
    async with AsyncClient(concat_config, transport=transport) as client:
        tasks = [
            asyncio.create_task(client.infer(make_request(n).inputs)) for n in (0, 1)
        ]
        await arrived.wait()
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        assert not is_cancelled.is_set()
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        await is_cancelled.wait()

    assert events_per_call(transport) == [2]


def test_calls_of_several_threads_get_their_own_answers(
    batch_metadata, concat_config, make_request
):
    async def respond(call):
        await asyncio.sleep(0)
        return labels_of(call)

    answers = {}

    def work(number):
        outputs = client.infer(make_request(number, n_rows=number + 1).inputs)
        answers[number] = outputs["LABELS"].tolist()

    transport = FakeTransport(batch_metadata, respond)
    with Client(concat_config, transport=transport) as client:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == {n: [n] * (n + 1) for n in range(12)}


async def test_a_window_of_one_still_gets_everything_through(
    batch_metadata, concat_config, make_request
):
    async def respond(call):
        return labels_of(call)

    config = replace(concat_config, window=WindowConfig(max_requests=1))
    transport = FakeTransport(batch_metadata, respond)
    timing = VirtualTime().timing
    async with AsyncClient(config, transport=transport, timing=timing) as client:
        outcomes = [o async for o in client.map(map(make_request, range(50)))]

    assert [outcome.request_id for outcome in outcomes] == list(range(50))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
