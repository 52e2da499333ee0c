"""Events per second with and without batching, beside raw tritonclient.

    pytest benchmarks/test_batching.py --benchmark-json=batching.json
    pytest benchmarks/test_batching.py --benchmark-disable   # only tries it

Events of 100, 1,300 and 10,000 points go to a server that needs the same time for every
request, as a model with a fixed cost has. The contestants take turns. The figure is the
median, over the rounds, of the ratio to the raw client in that round: `extra_info`.
"""

import threading
import time
from statistics import median

import numpy as np
import pytest
from tritonclient import grpc as triton

from sonic_client import (
    Answer,
    BatchingConfig,
    Client,
    ClientConfig,
    Request,
    WindowConfig,
)

N_ROUNDS = 5
WINDOW = 8
SERVER_TIME_S = 0.002


def raw_per_event(url, arrays):
    """Callbacks and a semaphore: one request an event."""
    client = triton.InferenceServerClient(url.removeprefix("grpc://"))
    room, answers = threading.Semaphore(WINDOW), []

    def done(result, error):
        answers.append(error or result.as_numpy("Y"))
        room.release()

    started = time.perf_counter()
    for array in arrays:
        tensor = triton.InferInput("X", list(array.shape), "FP32")
        tensor.set_data_from_numpy(array)
        room.acquire()
        client.async_infer("echo", [tensor], done)
    for _ in range(WINDOW):
        room.acquire()
    spent_s = time.perf_counter() - started
    client.close()
    return sum(isinstance(answer, np.ndarray) for answer in answers), spent_s


def per_event(url, arrays):
    """Our client, one request an event."""
    return answered(url, arrays, model_name="echo", layout="per_event")


def concat(url, arrays):
    """Our client, several events a request."""
    return answered(
        url,
        arrays,
        model_name="echo_batch",
        layout="concat",
        batching=BatchingConfig(max_events=16, max_bytes=2**20),
    )


def answered(url, arrays, **options):
    config = ClientConfig(
        servers=url, window=WindowConfig(max_requests=WINDOW), **options
    )
    requests = (Request(number, {"X": array}) for number, array in enumerate(arrays))
    with Client(config) as client:
        started = time.perf_counter()
        n_answers = sum(isinstance(each, Answer) for each in client.map(requests))
        return n_answers, time.perf_counter() - started


@pytest.mark.parametrize("n_points", [100, 1300, 10_000])
@pytest.mark.benchmark(group="batching")
def test_batching(benchmark, echo_server, is_smoke, n_points):
    url = echo_server(SERVER_TIME_S)
    arrays = [
        np.full((n_points, 3), n, np.float32) for n in range(32 if is_smoke else 800)
    ]
    contestants = (raw_per_event, per_event, concat)
    rates = {contestant.__name__: [] for contestant in contestants}

    def take_turn(contestant):
        n_answers, spent_s = contestant(url, arrays)
        assert n_answers == len(arrays)
        rates[contestant.__name__].append(n_answers / spent_s)

    def others_take_turns():
        take_turn(raw_per_event)
        take_turn(per_event)

    benchmark.pedantic(
        take_turn,
        args=(concat,),
        setup=others_take_turns,
        rounds=1 if is_smoke else N_ROUNDS,
    )

    benchmark.extra_info.update(
        n_points=n_points,
        server_time_s=SERVER_TIME_S,
        events_per_s={name: median(values) for name, values in rates.items()},
        ratio_to_raw={
            name: median(
                mine / raw
                for mine, raw in zip(values, rates["raw_per_event"], strict=True)
            )
            for name, values in rates.items()
        },
    )
