"""Many events: memory stays flat, and reading goes on while answers are awaited."""

import gc
import threading
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import (
    EventChunk,
    EventLoop,
    EventSource,
    TrackEvents,
    TrackFindingProducer,
    TrackWriter,
    open_events,
)
from sonic_client import Answer, ModelMetadata, TensorSpec

MODEL = ModelMetadata(
    name="exatrkx",
    version="1",
    platform="test",
    inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
    outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
    parameters={"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"},
)


def answer(request):
    labels = (request.inputs["FEATURES"][:, 1] > 0).astype(np.int64)
    return Answer(
        request_id=request.request_id,
        outputs={"LABELS": labels},
        server="here",
        model_version="1",
        tries=1,
        latency_s=0.0,
    )


class Client:
    def map(self, requests, *, ordered=True):
        return map(answer, requests)


def write_files(folder, n_files, n_events):
    """Files of events of 12 space points each, numbered through."""
    rng = np.random.default_rng(5)
    paths = []
    for index in range(n_files):
        points = rng.normal(0, 200, (3, n_events, 12)).astype(np.float32)
        ids = np.arange(n_events) + index * n_events
        columns = dict(zip(("sp_x", "sp_y", "sp_z"), points, strict=True))
        paths.append(folder / f"run{index:02d}.root")
        with uproot.recreate(paths[-1]) as file:
            types = dict.fromkeys(columns, "var * float32")
            file.mktree("events", {"event": "int64"} | types)
            lists = {k: ak.from_regular(ak.Array(v)) for k, v in columns.items()}
            file["events"].extend({"event": ids} | lists)
    return paths


def resident_bytes():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def run_and_watch(paths, output, *, early):
    """Run a job; return the memory after some events, and at the end."""
    sizes = []

    def watch(n_events):
        if n_events >= early and not sizes:
            sizes.append(resident_bytes())

    with TrackWriter(output, {}) as writer:
        EventLoop(
            open_events(paths), TrackFindingProducer(MODEL), Client(), sink=writer
        ).process(watch)
        sizes.append(resident_bytes())
    return sizes


@pytest.mark.parametrize(
    ("n_files", "n_events"),
    [
        pytest.param(4, 1500, id="6,000 events"),
        pytest.param(
            20,
            5000,
            id="100,000 events",
            marks=[pytest.mark.slow, pytest.mark.timeout(600)],
        ),
    ],
)
def test_memory_does_not_grow_with_the_number_of_events(tmp_path, n_files, n_events):
    paths = write_files(tmp_path, n_files, n_events)
    total = n_files * n_events

    early, late = run_and_watch(paths, tmp_path / "t.root", early=total // 4)

    # Twice what is held at once: a chunk, the one read ahead, a block of tracks.
    assert late - early < 40e6
    ids = [track.event_id for track in TrackEvents(tmp_path / "t.root")]
    assert ids == list(range(total))


@dataclass(frozen=True)
class WatchedFile:
    """Three events, a chunk each; says when the second is read."""

    second_is_read: threading.Event
    path: Path = Path("events.root")
    n_events: int = 3

    def chunks(self, start, stop, chunk_size):
        for index in range(start, stop):
            if index == 1:
                self.second_is_read.set()
            yield EventChunk(
                event_ids=np.array([index]),
                row_splits=np.array([0, 2]),
                xyz=np.ones((2, 3), dtype=np.float32),
                source=self.path,
                first_entry=index,
            )


def test_the_next_chunk_is_read_while_an_answer_is_awaited():
    second_is_read = threading.Event()

    class SlowClient:
        """Gives no answer before the next chunk was read."""

        def map(self, requests, *, ordered=True):
            for request in requests:
                assert second_is_read.wait(20.0)
                yield answer(request)

    source = EventSource([WatchedFile(second_is_read)])
    loop = EventLoop(source, TrackFindingProducer(MODEL), SlowClient())

    assert len(list(loop.run())) == 3
