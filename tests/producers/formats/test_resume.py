"""A job that is interrupted leaves what it finished, and goes on from it."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import (
    EventChunk,
    EventLoop,
    OutputError,
    OutputExistsError,
    TrackCandidates,
    TrackEvents,
    TrackFindingProducer,
    TrackWriter,
    UnreadableFileError,
    open_events,
)
from sonic_client import Answer, ConfigError, ModelMetadata, TensorSpec


class Client:
    """Labels by the sign of y; waits forever before one event, if told to."""

    def __init__(self, wait_at=None):
        self._wait_at = wait_at

    def map(self, requests, *, ordered=True):
        for number, request in enumerate(requests):
            if number == self._wait_at:
                sys.stdout.write("waiting\n")
                sys.stdout.flush()
                sys.stdin.read()
            labels = (request.inputs["FEATURES"][:, 1] > 0).astype(np.int64)
            yield Answer(
                request_id=request.request_id,
                outputs={"LABELS": labels},
                server="here",
                model_version="1",
                tries=1,
                latency_s=0.0,
            )


MODEL = ModelMetadata(
    name="exatrkx",
    version="1",
    platform="test",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
    parameters={"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"},
)


def track(events, output, *, wait_at=None, resume=False):
    """Run a job; return the number of events that were done before."""
    source = open_events(events)
    job = {"events": str(events)}
    with TrackWriter(output, {"a": 1}, resume=resume, job=job) as writer:
        n_done = writer.n_done
        rest = source.between(n_done)
        producer = TrackFindingProducer(MODEL)
        EventLoop(rest, producer, Client(wait_at), sink=writer).process()
    return n_done


N_EVENTS = 2600


@pytest.fixture
def many_events(tmp_path):
    """More than two blocks of small events."""
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 9, N_EVENTS)
    axes = rng.normal(0, 100, (3, counts.sum()))
    columns = {"event": np.arange(N_EVENTS)}
    columns |= {
        f"sp_{name}": ak.unflatten(axis.astype(np.float32), counts)
        for name, axis in zip("xyz", axes, strict=True)
    }
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        file.mktree("events", {k: ak.Array(v).type.content for k, v in columns.items()})
        file["events"].extend(columns)
    return path


def arrays_of(path):
    with uproot.open(path) as file:
        tables = ("labels", "candidates", "failures")
        return {name: file[name].arrays().to_list() for name in tables}


def test_a_killed_job_goes_on_to_the_same_result(many_events, tmp_path):
    whole, output = tmp_path / "whole.root", tmp_path / "tracks.root"
    track(many_events, whole)

    with subprocess.Popen(
        [sys.executable, __file__, str(many_events), str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdout.readline() == "waiting\n"
        job.send_signal(signal.SIGKILL)

    assert not output.exists()
    left = list(TrackEvents(f"{output}.partial"))
    expected = list(TrackEvents(whole))[: len(left)]
    assert len(left) >= 2000
    for got, wanted in zip(left, expected, strict=True):
        assert got.event_id == wanted.event_id
        assert got.candidates.labels.tolist() == wanted.candidates.labels.tolist()
    assert track(many_events, output, resume=True) == len(left)
    assert arrays_of(output) == arrays_of(whole)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"events.root", "tracks.root", "whole.root"}


def chunk_of(n_events, first=0):
    splits = np.arange(n_events + 1) * 2
    return EventChunk(
        event_ids=np.arange(n_events) + first,
        row_splits=splits,
        xyz=np.ones((splits[-1], 3), dtype=np.float32),
        source=Path("events.root"),
    )


def write_events(writer, n_events, first=0):
    for event in chunk_of(n_events, first):
        labels = np.array([event.event_id % 3 - 1, 0])
        writer.write(event, TrackCandidates.from_components(labels, event.xyz))


def write_and_stop(path, n_events, *, first=0, **options):
    with TrackWriter(path, {}, **options) as writer:
        write_events(writer, n_events, first)
        raise KeyboardInterrupt


def interrupt(path, n_events, **options):
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(path, n_events, **options)


def test_an_interrupted_job_leaves_all_its_events(tmp_path):
    interrupt(tmp_path / "t.root", 3)

    left = TrackEvents(tmp_path / "t.root.partial")
    assert len(left) == 3
    assert [event.event_id for event in left] == [0, 1, 2]
    assert not (tmp_path / "t.root").exists()


@pytest.mark.parametrize("name", ["t.root", "t.parquet", "t.csv", "t.edm4hep.root"])
def test_every_format_goes_on(tmp_path, name):
    with TrackWriter(tmp_path / f"whole.{name}", {}) as writer:
        write_events(writer, 5)
    interrupt(tmp_path / name, 2)

    with TrackWriter(tmp_path / name, {}, resume=True) as writer:
        assert writer.n_done == 2
        write_events(writer, 3, first=2)

    assert [path.name for path in tmp_path.glob("*.partial")] == []
    whole, resumed = tmp_path / f"whole.{name}", tmp_path / name
    if name == "t.csv":
        assert resumed.read_text() == whole.read_text()
    elif name == "t.edm4hep.root":
        with uproot.open(whole) as one, uproot.open(resumed) as other:
            assert one["events"].arrays().to_list() == (
                other["events"].arrays().to_list()
            )
    else:
        for one, other in zip(TrackEvents(whole), TrackEvents(resumed), strict=True):
            assert one.event_id == other.event_id
            assert one.candidates.labels.tolist() == other.candidates.labels.tolist()


def test_a_job_may_be_interrupted_again(tmp_path):
    path = tmp_path / "t.root"
    interrupt(path, 2)
    interrupt(path, 2, first=2, resume=True)

    with TrackWriter(path, {}, resume=True) as writer:
        write_events(writer, 1, first=writer.n_done)

    assert [event.event_id for event in TrackEvents(path)] == [0, 1, 2, 3, 4]


def test_a_job_that_finished_nothing_leaves_nothing(tmp_path):
    interrupt(tmp_path / "t.root", 0)

    assert list(tmp_path.iterdir()) == []


def test_what_is_left_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "t.root"
    interrupt(path, 2)

    with pytest.raises(OutputExistsError, match=r"t\.root\.partial: events of a job"):
        TrackWriter(path, {}).__enter__()

    with TrackWriter(path, {}, force=True) as writer:
        assert writer.n_done == 0
        write_events(writer, 1)
    assert len(TrackEvents(path)) == 1


def test_another_job_does_not_go_on_from_it(tmp_path):
    path = tmp_path / "t.root"
    interrupt(path, 2, job={"model": "exatrkx", "n_events": 7})

    with pytest.raises(ConfigError, match="model was 'exatrkx', is 'other'"):
        TrackWriter(
            path, {}, resume=True, job={"model": "other", "n_events": 7}
        ).__enter__()

    assert len(TrackEvents(f"{path}.partial")) == 2


def test_a_damaged_block_is_named(tmp_path):
    path = tmp_path / "t.root"
    interrupt(path, 2)
    block = tmp_path / "t.root.partial" / "block-000000.npz"
    block.write_bytes(block.read_bytes()[:100])

    with pytest.raises(UnreadableFileError, match=r"block-000000\.npz: truncated"):
        TrackWriter(path, {}, resume=True).__enter__()


def test_slow_events_are_kept_before_a_block_is_full(tmp_path):
    now_s = [0.0]
    with TrackWriter(tmp_path / "t.root", {}, clock=lambda: now_s[0]) as writer:
        write_events(writer, 1)
        assert writer.n_done == 0

        now_s[0] = 11.0
        write_events(writer, 1, first=1)

        assert writer.n_done == 2


def test_a_full_disk_leaves_the_blocks_before(tmp_path, limit_files):
    path = tmp_path / "t.root"

    def write_until_full():
        with TrackWriter(path, {}) as writer:
            write_events(writer, 1000)
            limit_files(20_000)
            write_events(writer, 2500, first=1000)

    with pytest.raises(OutputError, match=r"t\.root: cannot write: File too large"):
        write_until_full()
    limit_files(resource.RLIM_INFINITY)

    assert not path.exists()
    assert len(TrackEvents(f"{path}.partial")) == 1000
    assert not list(Path(f"{path}.partial").glob("unfinished*"))


def test_the_job_is_readable_for_people(tmp_path):
    interrupt(tmp_path / "t.root", 1, job={"model": "exatrkx"})

    text = (tmp_path / "t.root.partial" / "job.json").read_text()
    assert json.loads(text) == {"model": "exatrkx"}


if __name__ == "__main__":
    track(sys.argv[1], sys.argv[2], wait_at=2500)


@pytest.mark.parametrize("kind", ["link", "owner"])
def test_a_job_does_not_go_on_from_what_another_user_put_there(
    tmp_path, monkeypatch, kind
):
    folder, elsewhere = tmp_path / "tracks.root.partial", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "job.json").write_text("{}")
    if kind == "link":
        folder.symlink_to(elsewhere)
    else:
        elsewhere.rename(folder)
        own = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)

    with pytest.raises(ConfigError, match="a link, or of another user"):
        TrackWriter(tmp_path / "tracks.root", {}, resume=True, job={}).__enter__()
