"""The overhead of sonic_client per event of 1,300 points, beside tritonclient's.

    pytest benchmarks/test_overhead.py --benchmark-json=overhead.json
    pytest benchmarks/test_overhead.py --benchmark-disable   # only tries it

Answers come from memory. `map` is all of our client but the wire: check, plan, window,
dispatch, statistics, answer check, order. `tritonclient` is what it does for a request
and its answer without sending it: tensor to message, message to tensor. `extra_info`
holds microseconds an event; the goal of the whole chain, with the reader's and the
producer's parts (`test_event_loop.py`), is 100.
"""

import time
from statistics import median

import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2

from sonic_client import (
    BatchingConfig,
    Client,
    ClientConfig,
    ModelMetadata,
    Request,
    TensorSpec,
)
from sonic_client.transport import FakeTransport, InferReply

N_ROUNDS = 7
N_POINTS = 1300
FEATURES = np.zeros((N_POINTS, 3), np.float32)
LABELS = np.zeros(N_POINTS, np.int64)
X, SPLITS = TensorSpec("X", "FP32", (-1, 3)), TensorSpec("ROW_SPLITS", "INT64", (-1,))
LABEL = TensorSpec("LABELS", "INT64", (-1,))


class FromMemory(FakeTransport):
    """Answers at once, and forgets: a list of calls would grow."""

    async def infer(self, call, *, timeout_s):
        """Answer with labels of zero."""
        n_rows = len(call.inputs["X"])
        labels = LABELS if n_rows == N_POINTS else np.zeros(n_rows, np.int64)
        return InferReply(model_version="1", outputs={"LABELS": labels})


def mapped(layout, n_events):
    """Seconds of `map` for so many events."""
    metadata = ModelMetadata(
        name="m",
        version="1",
        platform="memory",
        inputs=(X, SPLITS) if layout == "concat" else (X,),
        outputs=(LABEL,),
    )
    config = ClientConfig(
        servers="memory:1",
        model_name="m",
        layout=layout,
        batching=BatchingConfig(max_events=16),
    )
    requests = [Request(number, {"X": FEATURES}) for number in range(n_events)]
    with Client(config, transport=FromMemory(metadata, None)) as client:
        started = time.perf_counter()
        n_outcomes = sum(1 for _ in client.map(requests))
        spent_s = time.perf_counter() - started
    assert n_outcomes == n_events
    return spent_s


def through_tritonclient(n_events):
    """Seconds of tritonclient's own coding, for so many events."""
    reply = service_pb2.ModelInferResponse(model_name="m", model_version="1")
    reply.outputs.add(name="LABELS", datatype="INT64", shape=[N_POINTS])
    reply.raw_output_contents.append(LABELS.tobytes())
    message = reply.SerializeToString()
    started = time.perf_counter()
    for _ in range(n_events):
        tensor = triton.InferInput("X", list(FEATURES.shape), "FP32")
        tensor.set_data_from_numpy(FEATURES)
        triton._utils._get_inference_request(
            model_name="m",
            inputs=[tensor],
            model_version="",
            request_id="",
            outputs=None,
            sequence_id=0,
            sequence_start=False,
            sequence_end=False,
            priority=0,
            timeout=None,
            parameters=None,
        ).SerializeToString()
        answer = service_pb2.ModelInferResponse.FromString(message)
        triton.InferResult(answer).as_numpy("LABELS")
    return time.perf_counter() - started


@pytest.mark.benchmark(group="overhead")
def test_overhead_per_event(benchmark, is_smoke):
    n_events = 50 if is_smoke else 2000
    spent_us = {"per_event": [], "concat": [], "tritonclient": []}

    def note(name, spent_s):
        spent_us[name].append(spent_s / n_events * 1e6)

    def others():
        note("tritonclient", through_tritonclient(n_events))
        note("concat", mapped("concat", n_events))

    benchmark.pedantic(
        lambda: note("per_event", mapped("per_event", n_events)),
        setup=others,
        rounds=1 if is_smoke else N_ROUNDS,
    )

    benchmark.extra_info.update(
        n_points=N_POINTS,
        us_per_event={name: median(values) for name, values in spent_us.items()},
        us_per_event_at_best={name: min(values) for name, values in spent_us.items()},
    )
