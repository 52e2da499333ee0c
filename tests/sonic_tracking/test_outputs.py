"""An output that cannot be written: one line with the cause, and nothing left.

Files are limited in size, which ends writing at any byte as a full disk does.
"""

import errno
import os
import resource
from dataclasses import replace

import numpy as np
import pytest
import tomli_w
import torch
from matplotlib.figure import Figure

from exatrkx_pipeline import load_weights
from exatrkx_pipeline.training.checkpoint import (
    CheckpointFolder,
    LearningCurve,
    StageState,
)
from exatrkx_pipeline.training.recipe import StageSchedule, TrainingRecipe
from mock_server import MockServer, Model, TensorSpec
from producers import (
    Event,
    OutputError,
    SpacePointWriter,
    TrackCandidates,
    TrackEvents,
    TrackWriter,
    TruthWriter,
    open_events,
)
from producers.io import PerfAnalyzerWriter, output_errors, write_picture
from producers.simulation import GunConfig, SimulatedEvent
from sonic_base import config_to_mapping
from sonic_client import Client, ClientConfig
from sonic_tracking import evaluate, record, track
from sonic_tracking.jobs.weights import write_repository, write_weights
from sonic_tracking.outputs import check_outputs, write_json

N_EVENTS = 30
ECHO = Model(
    "echo",
    [TensorSpec("X", "FP32", (1,))],
    [TensorSpec("Y", "FP32", (1,))],
    lambda tensors: {"Y": tensors["X"]},
)
LABELS = np.repeat(np.arange(10), 5)
XYZ = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)


def ask(url, value):
    with Client(ClientConfig(servers=url, model_name="echo")) as client:
        return float(client.infer({"X": np.float32([value])})["Y"][0])


def simulated(number):
    ids = np.arange(4, dtype=np.uint64)
    names = ("vx", "vy", "vz", "px", "py", "pz", "q")
    integers = ("pdg", "nhits", "primary_vertex")
    return SimulatedEvent(
        event_id=number,
        xyz=XYZ,
        **dict.fromkeys(("volume_id", "layer_id", "module_id"), LABELS),
        particle_id=LABELS.astype(np.uint64),
        n_true_hits=LABELS.astype(np.int32),
        particles={
            "particle_id": ids,
            **dict.fromkeys(names, np.ones(4, np.float32)),
            **dict.fromkeys(integers, np.ones(4, np.int32)),
        },
    )


def write_tracks(path, **options):
    with TrackWriter(path, {"made by": "a test"}, **options) as writer:
        for number in range(N_EVENTS):
            event = Event(event_id=number, xyz=XYZ, source="memory", entry=number)
            writer.write(event, TrackCandidates.from_components(LABELS, XYZ))


def interrupt(path):
    """Leave one finished event of a job that was interrupted."""
    writer = TrackWriter(path, {})
    writer.__enter__()
    writer.write(Event(event_id=1, xyz=XYZ, source="memory", entry=0), None)
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def write_simulated(kind, form):
    def write(path):
        with kind(path, form=form) as writer:
            for number in range(N_EVENTS):
                writer.write(simulated(number))

    return write


def write_requests(path):
    with PerfAnalyzerWriter(path) as writer:
        for _ in range(N_EVENTS):
            writer.write({"FEATURES": XYZ})


def draw(path):
    figure = Figure()
    figure.subplots().plot(XYZ)
    write_picture(path, figure, dpi=100)


WRITERS = {
    "t.root": write_tracks,
    "t.edm4hep.root": write_tracks,
    "t.parquet": write_tracks,
    "t.csv": write_tracks,
    "t.csv.gz": write_tracks,
    "rntuple.root": lambda path: write_tracks(path, format="rntuple"),
    "points.root": write_simulated(SpacePointWriter, "ttree"),
    "points-rntuple.root": write_simulated(SpacePointWriter, "rntuple"),
    "truth.root": write_simulated(TruthWriter, "ttree"),
    "requests.json": write_requests,
    "summary.json": lambda path: write_json(path, {"values": XYZ.tolist()}),
    "picture.png": draw,
    "picture.pdf": draw,
    "picture.svg": draw,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.97])
def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(
    tmp_path, limit_files, name, share
):
    path = tmp_path / name
    WRITERS[name](path)
    whole_size = path.stat().st_size
    path.unlink()

    limit_files(int(share * whole_size))
    with pytest.raises(OutputError) as caught:
        WRITERS[name](path)
    limit_files(resource.RLIM_INFINITY)

    assert str(caught.value) == (
        f"{path}: cannot write: File too large; "
        "raise the limit of the size of files (ulimit -f)"
    )
    # A block of tracks that was finished before is kept, to go on from.
    assert not list(tmp_path.iterdir()) or len(TrackEvents(f"{path}.partial")) > 0
    if name.startswith("t."):
        write_tracks(path, force=True)
    else:
        WRITERS[name](path)
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "free some space, or write to another disk"),
        (errno.EDQUOT, "free some space, or write to another disk"),
        (errno.EROFS, "choose a folder that you may write to"),
    ],
)
def test_the_line_says_what_to_do(tmp_path, code, advice):
    with pytest.raises(OutputError) as caught, output_errors(tmp_path / "o.root"):
        raise OSError(code, os.strerror(code))

    assert str(caught.value).endswith(f"cannot write: {os.strerror(code)}; {advice}")


def test_resuming_on_a_full_disk_keeps_the_events_of_before(tmp_path, limit_files):
    path = tmp_path / "t.root"
    interrupt(path)

    limit_files(10)
    with pytest.raises(OutputError), TrackWriter(path, {}, resume=True):
        pass
    limit_files(resource.RLIM_INFINITY)

    assert len(TrackEvents(f"{path}.partial")) == 1


NAMES = (
    "a::b.root",
    "a:b.root",
    "out::2.root",
    "file:x.root",
    "with space.root",
    "Spurpunkte-µ-轨迹.root",
    "x" * 195 + ".root",
    "x" * 241 + ".root",
    "轨" * 83 + ".root",
)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
@pytest.mark.parametrize("form", ["ttree", "rntuple"])
def test_a_local_name_is_a_name_in_inputs_and_outputs(tmp_path, name, form):
    events, tracks = tmp_path / name, tmp_path / "tracks"
    tracks.mkdir()

    write_simulated(SpacePointWriter, form)(events)
    write_tracks(tracks / name, format=form)

    assert len(open_events(events)) == N_EVENTS
    assert len(open_events(str(events))) == N_EVENTS
    assert len(list(TrackEvents(tracks / name))) == N_EVENTS
    assert [each.name for each in tmp_path.glob("*.root")] == [name]
    assert [each.name for each in tracks.iterdir()] == [name]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".edm4hep.root"])
@pytest.mark.parametrize("stem", ["a::b", "a:b", "x" * 241])
def test_a_local_name_is_a_name_in_every_format(tmp_path, stem, suffix):
    name = f"{stem[: 255 - len(suffix)]}{suffix}"

    write_tracks(tmp_path / name)

    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x" * 300, "轨" * 100], ids=["bytes", "characters"])
def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path, name):
    with pytest.raises(OutputError, match="File name too long; choose a shorter name"):
        check_outputs({"output": tmp_path / name}, force=False)


def test_an_interrupted_job_of_a_long_name_is_resumed(tmp_path):
    path = tmp_path / ("x" * 250 + ".root")
    interrupt(path)

    with TrackWriter(path, {}, resume=True) as writer:
        assert writer.n_done == 1

    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["folder", "no parent", "file for parent"])
def test_a_path_that_is_no_place_for_a_file_is_one_line(tmp_path, kind):
    (tmp_path / "file").touch()
    path = {
        "folder": tmp_path,
        "no parent": tmp_path / "nowhere" / "t.root",
        "file for parent": tmp_path / "file" / "t.root",
    }[kind]

    with pytest.raises(OutputError, match=r"is a folder|does not exist"):
        write_tracks(path, format="ttree")

    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("size", [0, 100, 2000])
def test_weights_that_cannot_be_written_leave_nothing(
    tmp_path, limit_files, weights, size
):
    pipeline, output = load_weights(weights), tmp_path / "w"

    limit_files(size)
    with pytest.raises(OutputError, match="w: cannot write: File too large"):
        write_weights(output, pipeline, training={}, scores={})
    with pytest.raises(OutputError, match="w: cannot write: File too large"):
        write_repository(output, weights=weights)
    limit_files(resource.RLIM_INFINITY)

    assert not [each for each in tmp_path.rglob("*") if each.is_file()]
    write_weights(output, pipeline, training={}, scores={})
    assert load_weights(output).weights_id == pipeline.weights_id


@pytest.mark.parametrize("name", ["summary.json", "out::2.root", "x" * 246 + ".root"])
def test_jobs_write_files_of_any_name(tmp_path, sample, weights, name):
    tracks = tmp_path / name if name.endswith(".root") else tmp_path / "t.root"

    result = track(
        sample / "events.root",
        output=tracks,
        json=tmp_path / f"{name[:200]}.json",
        weights=weights,
        max_events=1,
    )

    assert len(result) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_summary_that_cannot_be_written_leaves_no_half(
    tmp_path, limit_files, sample, weights
):
    track(
        sample / "events.root",
        output=tmp_path / "t.root",
        weights=weights,
        max_events=1,
    )

    output = tmp_path / "e.json"

    limit_files(1000)
    with pytest.raises(OutputError, match=r"e\.json: cannot write: File too large"):
        evaluate(tmp_path / "t.root", sample / "truth.root", json=output)
    limit_files(resource.RLIM_INFINITY)

    assert [each.name for each in tmp_path.iterdir()] == ["t.root"]


def test_events_appear_with_their_truth_or_not_at_all(tmp_path, limit_files):
    pytest.importorskip("acts", reason="pyacts is not installed")
    from sonic_tracking import simulate

    outputs = (tmp_path / "events.root", tmp_path / "truth.root")
    settings = {"n_events": 2, "generator": "gun", "gun": GunConfig(n_particles=30)}
    simulate(*outputs, **settings)
    n_bytes = sorted(path.stat().st_size for path in outputs)
    for path in outputs:
        path.unlink()

    limit_files(sum(n_bytes) // 2)  # enough for one of them
    with pytest.raises(OutputError, match=r"\.root: cannot write: File too large"):
        simulate(*outputs, **settings)
    limit_files(resource.RLIM_INFINITY)

    assert n_bytes[0] < n_bytes[1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["train", "simulate", "record", "weights"])
def test_commands_say_it_in_one_line(
    refused, limit_files, sample, weights, tiny_config, tmp_path_factory, command
):
    recipe = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    steps = StageSchedule(n_steps=10, learning_rate=1e-3)
    stages = dict.fromkeys(("embedding", "filter", "gnn"), steps)
    plan = TrainingRecipe(pipeline=tiny_config, n_validation=2, **stages)
    recipe.write_text(tomli_w.dumps(config_to_mapping(plan)))
    limit_files(0)
    truth = ("--truth", sample / "truth.root")
    if command == "train":
        pytest.importorskip("hist", reason="hist is not installed")
        line = refused(
            *("train", "--events", sample / "events.root", *truth),
            *("--recipe", recipe, "-o", "w"),
            status=1,
        )
    elif command == "simulate":
        pytest.importorskip("acts", reason="pyacts is not installed")
        line = refused(
            *("simulate", "-n", 1, "--generator", "gun"),
            *("-o", "w", "--truth", "t.root"),
            status=1,
        )
    elif command == "record":
        with MockServer([ECHO]) as real:
            line = refused(
                *("record", "--server", real.url, "--models", "echo", "-o", "w"),
                status=1,
            )
    else:
        line = refused("repository", "-o", "w", "--weights", weights, status=1)

    assert "w: cannot write: File too large; raise the limit" in line


def test_a_recording_keeps_what_it_has_when_the_disk_is_full(tmp_path, limit_files):
    folder = tmp_path / "cassette"
    with MockServer([ECHO]) as real, record(real.url, ["echo"], folder) as recording:
        first = ask(recording.url, 1.0)
        limit_files(0)
        second = ask(recording.url, 2.0)
        recording.wait()  # ends at once
        with pytest.raises(OutputError, match="cassette: cannot write: File too large"):
            recording.stop()
    limit_files(resource.RLIM_INFINITY)

    assert (first, second) == (1.0, 2.0)  # clients get their answers
    with MockServer.replay(folder) as server:
        assert ask(server.url, 1.0) == 1.0
    assert len(list((folder / "answers").iterdir())) == 1


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path, limit_files
):
    file = CheckpointFolder(tmp_path).of_stage("gnn")
    state = StageState(
        step=1,
        learning_rate=0.1,
        curve=LearningCurve("gnn"),
        recent=[],
        network={"weight": torch.zeros(1000)},
        optimiser={},
        torch_rng=torch.get_rng_state(),
    )
    file.save(state)

    limit_files(1000)
    with pytest.raises(OSError, match="File too large") as caught:
        file.save(replace(state, step=2))
    limit_files(resource.RLIM_INFINITY)

    assert caught.value.errno == errno.EFBIG
    assert file.load().step == 1
    assert len(list(tmp_path.iterdir())) == 1
