"""The cost of the loop itself per event of 1,300 space points, part by part.

    pytest benchmarks/test_event_loop.py --benchmark-columns=median,stddev

Answers come from memory, so that only our code is measured; divide by the number of
events (`extra_info`). The goal is 100 µs an event for all parts together.
"""

import time
from pathlib import Path

import numpy as np
import pytest

from producers import (
    EventChunk,
    EventLoop,
    EventSource,
    FeatureScale,
    TrackFindingProducer,
    TracksInMemory,
    TrackWriter,
    node_features,
)
from sonic_client import Answer, ModelMetadata, Request, TensorSpec

# So many that what a file costs once, some 10 ms, does not count.
N_EVENTS, N_POINTS, N_TRACKS = 2000, 1300, 170
MODEL = ModelMetadata(
    name="exatrkx",
    version="1",
    platform="memory",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
    parameters={"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"},
)


class AnswersFromMemory:
    """A client whose server takes no time."""

    def __init__(self, labels):
        self.labels = labels

    def map(self, requests, *, ordered=True):
        """Answer each request at once."""
        for number, request in enumerate(requests):
            yield Answer(
                request_id=request.request_id,
                outputs={"LABELS": self.labels[number % len(self.labels)]},
                server="memory",
                model_version="1",
                tries=1,
                latency_s=0.0,
            )


@pytest.fixture(scope="module")
def chunk():
    rng = np.random.default_rng(1)
    xyz = rng.normal(0, 400, (N_EVENTS * N_POINTS, 3)).astype(np.float32)
    return EventChunk(
        event_ids=np.arange(N_EVENTS),
        row_splits=np.arange(N_EVENTS + 1) * N_POINTS,
        xyz=xyz,
        source=Path("events.root"),
    )


@pytest.fixture(scope="module")
def client():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, N_TRACKS, (N_EVENTS, N_POINTS))
    return AnswersFromMemory(list(labels))


def run_into(sink, chunk, client):
    producer = TrackFindingProducer(MODEL)
    return EventLoop([chunk], producer, client, sink=sink).process()


class Nowhere:
    """A sink that keeps nothing."""

    def write_result(self, result):
        """Take a chunk, and drop it."""


def test_features_of_a_part(benchmark, chunk):
    part = chunk.part(0, 6)
    scale = FeatureScale(r_mm=1000.0, phi_rad=np.pi, z_mm=1000.0)
    benchmark.extra_info["events"] = 6

    benchmark(node_features, part.xyz, scale)


def test_candidates_of_a_part(benchmark, chunk, client):
    part, producer = chunk.part(0, 6), TrackFindingProducer(MODEL)
    benchmark.extra_info["events"] = 6

    found = benchmark(producer.produce_chunk, part, client.labels[:6])

    assert len(found) == 6


def test_loop_without_a_writer(benchmark, chunk, client):
    benchmark.extra_info["events"] = N_EVENTS

    times = benchmark(run_into, Nowhere(), chunk, client)

    assert times.events == N_EVENTS


def test_loop_into_memory(benchmark, chunk, client):
    benchmark.extra_info["events"] = N_EVENTS

    benchmark(lambda: run_into(TracksInMemory(), chunk, client))


@pytest.mark.parametrize("format", ["ttree", "rntuple", "parquet"])
def test_loop_into_a_file(benchmark, chunk, client, tmp_path, format):
    benchmark.extra_info["events"] = N_EVENTS

    def run():
        with TrackWriter(tmp_path / "t.root", {}, format=format, force=True) as writer:
            run_into(writer, chunk, client)

    benchmark(run)


READ_S, ANSWER_S, N_CHUNKS = 0.02, 0.02, 50


class SlowFile:
    """One event a chunk, each of which takes its time to be read."""

    path, n_events = Path("events.root"), N_CHUNKS

    def chunks(self, start, stop, chunk_size):
        """Read the events one by one."""
        for index in range(start, stop):
            time.sleep(READ_S)
            yield EventChunk(
                event_ids=np.array([index]),
                row_splits=np.array([0, N_POINTS]),
                xyz=np.ones((N_POINTS, 3), dtype=np.float32),
                source=self.path,
                first_entry=index,
            )


class SlowAnswers(AnswersFromMemory):
    """A client that waits for each answer."""

    def map(self, requests, *, ordered=True):
        """Answer each request after its time."""
        for outcome in super().map(requests):
            time.sleep(ANSWER_S)
            yield outcome


def seconds_of(function):
    """Best of three: sleeping takes longer where others compute."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def test_reading_and_inference_overlap(benchmark, client):
    """Wall time over the larger of the two alone; the goal is at most 1.1."""
    source, slow = EventSource([SlowFile()]), SlowAnswers(client.labels)
    requests = [Request(index, {}) for index in range(N_CHUNKS)]

    def run():
        producer = TrackFindingProducer(MODEL)
        EventLoop(source, producer, slow, sink=Nowhere()).process()

    benchmark.pedantic(run, rounds=3, iterations=1)

    if benchmark.stats:  # none where benchmarks are only tried
        alone_s = max(
            seconds_of(lambda: list(SlowFile().chunks(0, N_CHUNKS, None))),
            seconds_of(lambda: list(slow.map(requests))),
        )
        benchmark.extra_info["wall over larger"] = benchmark.stats["min"] / alone_s
