"""Cancelled at any await: the slot is free, nothing goes on, and the next one works."""

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest

from sonic_client import (
    AsyncClient,
    ClientConfig,
    HealthConfig,
    ModelMetadata,
    Observer,
    Request,
    RetryConfig,
    ServerUnreachableError,
    TensorSpec,
    Timing,
    TransientError,
    WindowConfig,
)
from sonic_client.transport import FakeTransport

METADATA = ModelMetadata(
    name="label",
    version="1",
    platform="python",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
)
INPUTS = {"FEATURES": np.ones((1, 3), np.float32)}
CONFIG = ClientConfig(
    servers="fake:1",
    model_name="label",
    retry=RetryConfig(first_wait_s=1.0, max_wait_s=1.0),
    window=WindowConfig(max_requests=1),
)


def lost(kind=ServerUnreachableError):
    return kind(server="grpc://fake:1", status="UNAVAILABLE", details="lost")


class Model:
    """Fails or waits as often as it is told, then answers."""

    def __init__(self, *happenings):
        self.happenings = list(happenings)
        self.waiting = asyncio.Event()

    async def __call__(self, call):
        happening = self.happenings.pop(0) if self.happenings else None
        if happening == "wait":
            self.waiting.set()
            await asyncio.Event().wait()
        if happening is not None:
            raise happening
        return {"LABELS": np.ones(len(call.inputs["FEATURES"]), np.int64)}


class SleepIsStarted:
    """Timing whose waits never end, and which says when one begins."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.timing = Timing(sleep=self.sleep, jitter=lambda: 1.0)

    async def sleep(self, wait_s):
        self.begun.set()
        await asyncio.Event().wait()


async def cancel(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def next_works(client):
    """Both `infer` and a `map` whose window has one slot."""
    assert (await client.infer(INPUTS))["LABELS"].tolist() == [1]
    answers = [each async for each in client.map([Request(0, INPUTS)] * 3)]
    assert [each.outputs["LABELS"].tolist() for each in answers] == [[1]] * 3


async def test_during_the_call():
    model = Model("wait")

    async with AsyncClient(CONFIG, transport=FakeTransport(METADATA, model)) as client:
        task = asyncio.create_task(client.infer(INPUTS))
        await model.waiting.wait()
        await cancel(task)

        assert client.statistics().tries == {"LOCALLY_CANCELLED": 1}
        await next_works(client)


async def test_during_the_wait_between_two_tries():
    time, model = SleepIsStarted(), Model(lost(TransientError))
    transport = FakeTransport(METADATA, model)

    async with AsyncClient(CONFIG, transport=transport, timing=time.timing) as client:
        task = asyncio.create_task(client.infer(INPUTS))
        await time.begun.wait()
        await cancel(task)

        assert len(transport.calls) == 1
        await next_works(client)


class Opened(Observer):
    def __init__(self):
        self.happened = asyncio.Event()

    def server_changed(self, event):
        if event.state == "open":
            self.happened.set()


async def test_while_waiting_for_a_server_to_come_back():
    health = HealthConfig(first_pause_s=0.05, max_pause_s=0.05, open_after_failures=1)
    model, opened = Model(lost()), Opened()
    config = replace(CONFIG, health=health, retry=RetryConfig(first_wait_s=0.0))

    async with AsyncClient(
        config, transport=FakeTransport(METADATA, model), observers=[opened]
    ) as client:
        task = asyncio.create_task(client.infer(INPUTS))
        await opened.happened.wait()
        await asyncio.sleep(0)  # the request now waits for the server
        await cancel(task)

        await next_works(client)


async def test_the_trial_of_a_half_open_breaker_leaves_room_for_the_next():
    health = HealthConfig(first_pause_s=0.0, max_pause_s=0.05, open_after_failures=1)
    model = Model(lost(), "wait")
    config = replace(CONFIG, health=health, retry=RetryConfig(first_wait_s=0.0))

    async with AsyncClient(config, transport=FakeTransport(METADATA, model)) as client:
        task = asyncio.create_task(client.infer(INPUTS))
        await model.waiting.wait()
        await cancel(task)

        await next_works(client)


async def test_while_the_fallback_starts():
    starting, may_start = threading.Event(), threading.Event()

    class Slow:
        url = "grpc://fake:2"

        def start(self):
            starting.set()
            may_start.wait(10.0)

        def stop(self):
            pass

    model = Model(lost())
    async with AsyncClient(
        CONFIG, transport=FakeTransport(METADATA, model), fallback=Slow()
    ) as client:
        task = asyncio.create_task(client.infer(INPUTS))
        await asyncio.to_thread(starting.wait, 10.0)
        await cancel(task)

        may_start.set()
        await next_works(client)


async def test_while_the_client_opens():
    class NeverAnswers(FakeTransport):
        async def index(self, *, timeout_s):
            asked.set()
            await asyncio.Event().wait()

    asked = asyncio.Event()
    transport = NeverAnswers(METADATA, Model())
    task = asyncio.create_task(AsyncClient(CONFIG, transport=transport).__aenter__())
    await asked.wait()

    await cancel(task)

    assert not transport.is_open


async def test_leaving_a_loop_early_cancels_what_is_in_flight():
    model = Model(None, "wait")

    async with AsyncClient(CONFIG, transport=FakeTransport(METADATA, model)) as client:
        async for _ in client.map([Request(n, INPUTS) for n in range(5)]):
            await model.waiting.wait()
            break
        await next_works(client)
