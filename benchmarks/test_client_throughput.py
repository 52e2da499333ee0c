"""Requests per second beside raw tritonclient, on the same server at the same time.

    pytest benchmarks/test_client_throughput.py --benchmark-json=throughput.json
    pytest benchmarks/test_client_throughput.py --benchmark-disable   # only tries it

The contestants take turns. The figure is the median, over the rounds, of the ratio to
the best raw client of the round: a noisy machine disturbs all alike. `extra_info` has
the medians (`requests_per_s`) and the ratios (`ratio_to_best_raw`). The goal is
0.95. The times that pytest-benchmark shows itself are those of one round of
`sonic_client`.
"""

import asyncio
import threading
import time
from statistics import median

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.grpc import aio as triton_aio

from sonic_client import (
    Answer,
    AsyncClient,
    Client,
    ClientConfig,
    Request,
    WindowConfig,
)

N_ROUNDS = 7
ROUND_S = 0.5
"""What a contestant's turn takes, about."""

FASTEST = 2000
"""Requests per second of a server that takes no time, about."""


def raw_input(module, array):
    tensor = module.InferInput("X", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array)
    return [tensor]


def raw_sync(url, arrays, window):
    """One request after the other, whatever the window."""
    client = triton.InferenceServerClient(url)
    started = time.perf_counter()
    for array in arrays:
        client.infer("echo", raw_input(triton, array)).as_numpy("Y")
    spent_s = time.perf_counter() - started
    client.close()
    return len(arrays), spent_s


def raw_async_infer(url, arrays, window):
    """Callbacks and a semaphore."""
    client = triton.InferenceServerClient(url)
    room, answers = threading.Semaphore(window), []

    def done(result, error):
        answers.append(error or result.as_numpy("Y"))
        room.release()

    started = time.perf_counter()
    for array in arrays:
        room.acquire()
        client.async_infer("echo", raw_input(triton, array), done)
    for _ in range(window):
        room.acquire()
    spent_s = time.perf_counter() - started
    client.close()
    return sum(isinstance(answer, np.ndarray) for answer in answers), spent_s


def raw_aio(url, arrays, window):
    """As many coroutines as the window is wide."""

    async def main():
        client = triton_aio.InferenceServerClient(url)
        waiting, n_answers = iter(arrays), 0

        async def work():
            nonlocal n_answers
            for array in waiting:
                result = await client.infer("echo", raw_input(triton_aio, array))
                n_answers += result.as_numpy("Y") is not None

        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(window):
                tasks.create_task(work())
        spent_s = time.perf_counter() - started
        await client.close()
        return n_answers, spent_s

    return asyncio.run(main())


def config_of(url, window):
    return ClientConfig(
        servers=url, model_name="echo", window=WindowConfig(max_requests=window)
    )


def requests_of(arrays):
    return (Request(number, {"X": array}) for number, array in enumerate(arrays))


def sonic_client(url, arrays, window):
    """The blocking client."""
    with Client(config_of(url, window)) as client:
        started = time.perf_counter()
        outcomes = client.map(requests_of(arrays))
        n_answers = sum(isinstance(outcome, Answer) for outcome in outcomes)
        return n_answers, time.perf_counter() - started


def sonic_client_async(url, arrays, window):
    """The asynchronous client."""

    async def main():
        async with AsyncClient(config_of(url, window)) as client:
            started, n_answers = time.perf_counter(), 0
            async for outcome in client.map(requests_of(arrays)):
                n_answers += isinstance(outcome, Answer)
            return n_answers, time.perf_counter() - started

    return asyncio.run(main())


RAW = (raw_sync, raw_async_infer, raw_aio)
OURS = (sonic_client, sonic_client_async)


@pytest.mark.parametrize("window", [1, 4, 16, 64])
@pytest.mark.parametrize("server_time_s", [0.0, 0.005, 0.05])
@pytest.mark.benchmark(group="throughput")
def test_throughput(benchmark, echo_server, is_smoke, server_time_s, window):
    url = echo_server(server_time_s)
    address = url.removeprefix("grpc://")
    rate = min(FASTEST, window / server_time_s) if server_time_s else FASTEST
    n_requests = 2 * window if is_smoke else max(2 * window, int(ROUND_S * rate))
    arrays = [np.full((64, 3), number, np.float32) for number in range(n_requests)]
    rates = {contestant.__name__: [] for contestant in (*RAW, *OURS)}

    def take_turn(contestant):
        # One by one takes as many times longer as the window is wide.
        given = arrays[: -(-n_requests // window)] if contestant is raw_sync else arrays
        n_answers, spent_s = contestant(address, given, window)
        assert n_answers == len(given)
        rates[contestant.__name__].append(n_answers / spent_s)

    def take_turns():
        for contestant in (*RAW, sonic_client_async):
            take_turn(contestant)

    benchmark.pedantic(
        take_turn,
        args=(sonic_client,),
        setup=take_turns,
        rounds=1 if is_smoke else N_ROUNDS,
    )

    best_raw = [
        max(turns) for turns in zip(*(rates[raw.__name__] for raw in RAW), strict=True)
    ]
    benchmark.extra_info.update(
        server_time_s=server_time_s,
        window=window,
        n_requests=n_requests,
        requests_per_s={name: median(values) for name, values in rates.items()},
        ratio_to_best_raw={
            ours.__name__: median(
                mine / best
                for mine, best in zip(rates[ours.__name__], best_raw, strict=True)
            )
            for ours in OURS
        },
    )
