"""The event loop: against the mock server, and its order, policies and clock."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uproot

from mock_server import MockServer, Model, TensorSpec
from producers import (
    EventChunk,
    EventLoop,
    TrackFindingProducer,
    TrackWriter,
    open_events,
)
from sonic_client import (
    Answer,
    Client,
    ClientConfig,
    ConfigError,
    InvalidAnswerError,
    Request,
    WindowConfig,
)

PARAMETERS = {
    "feature_names": "r,phi,z",
    "feature_scales": "3000,3.141592653589793,400",
}


def sectors(features):
    """Label by quadrant of phi: a component that a test can compute on its own."""
    return np.floor(features[:, 1] * 2).astype(np.int64) + 2


def find(inputs):
    return {"LABELS": sectors(inputs["FEATURES"])}


MODELS = [
    Model(
        name=name,
        inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)), *further),
        outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
        function=find,
        parameters=PARAMETERS,
    )
    for name, further in (
        ("exatrkx", ()),
        ("exatrkx_batch", (TensorSpec("ROW_SPLITS", "INT64", (-1,)),)),
    )
]


@pytest.fixture(scope="module")
def server() -> Iterator[MockServer]:
    with MockServer(MODELS) as running:
        yield running


@contextmanager
def client_of(server, model="exatrkx", **options):
    with Client(
        ClientConfig(servers=server.url, model_name=model, **options)
    ) as client:
        yield client


def expected_labels(xyz):
    phi = np.arctan2(xyz[:, 1].astype(float), xyz[:, 0].astype(float))
    quadrant = np.floor((phi / np.pi).astype(np.float32) * 2)
    numbers = list(dict.fromkeys(quadrant.tolist()))
    return [numbers.index(q) for q in quadrant.tolist()]


@pytest.mark.parametrize(
    "served",
    [
        {"model": "exatrkx", "layout": "per_event"},
        {"model": "exatrkx_batch", "layout": "concat"},
    ],
    ids=["per_event", "concat"],
)
def test_tracks_of_a_file_are_written_in_input_order(
    server, write_tree, sample, tmp_path, served
):
    source = open_events([write_tree(), write_tree("more.root")], chunk_size=2)

    with (
        client_of(server, **served) as client,
        TrackWriter(tmp_path / "tracks.root", {}) as writer,
    ):
        producer = TrackFindingProducer(client.metadata, min_space_points=1)
        for event, candidates in EventLoop(source, producer, client).run():
            writer.write(event, candidates)

    labels = uproot.open(tmp_path / "tracks.root")["labels"].arrays()
    assert labels["event"].tolist() == list(sample.event_ids) * 2
    expected = [expected_labels(xyz) for xyz in sample.xyz]
    assert labels["sp_label"].tolist() == expected * 2


def test_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="on_failure"):
        EventLoop([], LengthProducer(), EchoClient(), on_failure="ignore")


def test_leaving_the_loop_early_ends_the_reader(server, write_tree):
    source = open_events(write_tree(), chunk_size=1)

    with client_of(server, window=WindowConfig(max_requests=1)) as client:
        producer = TrackFindingProducer(client.metadata)
        run = EventLoop(source, producer, client).run()
        next(run)
        run.close()

    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


class LengthProducer:
    """Sends the positions and gives back how many there were; no `prepare`."""

    def acquire(self, event):
        return {"XYZ": event.xyz}

    def produce(self, event, outputs):
        if len(outputs["XYZ"]) != len(event):
            raise InvalidAnswerError(model="echo", server="here", mismatches=[])
        return len(event)


class EchoClient:
    """Answers each request with its inputs, `window` requests late."""

    def __init__(self, window=2, clock=None):
        self.window, self.clock, self.most_ahead = window, clock, 0

    def map(self, requests, *, ordered=True):
        waiting: list[Request] = []
        for request in requests:
            waiting.append(request)
            self.most_ahead = max(self.most_ahead, len(waiting))
            if len(waiting) == self.window:
                yield self.answer(waiting.pop(0))
        yield from map(self.answer, waiting)

    def answer(self, request):
        if self.clock is not None:
            self.clock.advance(100.0)
        return Answer(
            request_id=request.request_id,
            outputs=request.inputs,
            server="here",
            model_version="1",
            tries=1,
            latency_s=0.0,
        )


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s

    def advance(self, seconds):
        self.now_s += seconds


def chunk_of(*lengths):
    splits = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return EventChunk(
        event_ids=np.arange(len(lengths)),
        row_splits=splits,
        xyz=np.zeros((splits[-1], 3), dtype=np.float32),
        source=Path("events.root"),
    )


def test_events_meet_their_own_answers_however_many_are_in_flight():
    loop = EventLoop(
        [chunk_of(3, 0, 1), chunk_of(2)], LengthProducer(), EchoClient(window=3)
    )

    assert [product for _, product in loop.run()] == [3, 0, 1, 2]


def test_time_is_split_without_overlap():
    clock = Clock()

    def read():
        for chunk in (chunk_of(3), chunk_of(4, 1)):
            clock.advance(1.0)
            yield chunk

    class SlowProducer(LengthProducer):
        def prepare(self, chunk):
            clock.advance(10.0)
            return chunk

        def produce(self, event, outputs):
            clock.advance(1000.0)
            return len(event)

    client = EchoClient(window=2, clock=clock)
    loop = EventLoop(read(), SlowProducer(), client, clock=clock)
    for _ in loop.run():
        clock.advance(10_000.0)

    times = loop.times()
    assert (times.events, times.failed_events, times.space_points) == (3, 0, 8)
    assert times.read_s == 2.0
    assert times.acquire_s == 20.0
    assert times.wait_s == 300.0
    assert times.produce_s == 3000.0
    assert times.write_s == 30_000.0
    assert times.to_dict()["wait_s"] == 300.0


def test_a_source_that_fails_ends_the_loop_with_its_error():
    def read():
        yield chunk_of(3)
        raise OSError("the disk is gone")

    loop = EventLoop(read(), LengthProducer(), EchoClient(window=1))
    products = loop.run()

    assert next(products)[1] == 3
    with pytest.raises(OSError, match="the disk is gone"):
        next(products)
