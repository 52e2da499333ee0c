"""`sonic track`: formats, events that fail, and jobs that go on."""

import json
import signal
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest
import uproot

from mock_server import MockServer, Model, ModelError, TensorSpec
from producers import TrackEvents, open_events

pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")

WAIT_S = 80.0
"""Limit for a process to start, or to end, on a busy machine."""

SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}


def label(tensors):
    return {"LABELS": (tensors["FEATURES"][:, 1] * 4).astype("int64") + 4}


def model_of(function):
    return Model(
        "exatrkx",
        [TensorSpec("FEATURES", "FP32", (-1, 3))],
        [TensorSpec("LABELS", "INT64", (-1,))],
        function,
        parameters=SCALES,
    )


@pytest.fixture(scope="module")
def server():
    with MockServer([model_of(label)]) as running:
        yield running


@pytest.fixture(scope="module")
def sizes(sample):
    """Number of space points of each event of the sample."""
    source = open_events(sample / "events.root")
    return [len(event) for chunk in source for event in chunk]


@pytest.fixture
def picky(sizes):
    """A server that refuses the third event."""

    def refuse(tensors):
        if len(tensors["FEATURES"]) == sizes[2]:
            raise ModelError(grpc.StatusCode.INVALID_ARGUMENT, "unlucky")
        return label(tensors)

    with MockServer([model_of(refuse)]) as running:
        yield running


@pytest.mark.parametrize(
    "output",
    [("t.root",), ("t.root", "--output-format", "rntuple"), ("t.parquet",)],
    ids=["ttree", "rntuple", "parquet"],
)
def test_tracks_are_the_same_in_every_format(sonic, sample, server, tmp_path, output):
    job = ("track", sample / "events.root", "--server", server.url, "--max-events", 3)
    sonic(*job, "-o", "expected.root")

    result = sonic(*job, "-o", *output)

    assert result.exit_code == 0, result.output
    pairs = zip(
        TrackEvents(tmp_path / output[0]),
        TrackEvents(tmp_path / "expected.root"),
        strict=True,
    )
    for got, wanted in pairs:
        assert got.event_id == wanted.event_id
        np.testing.assert_array_equal(got.candidates.labels, wanted.candidates.labels)


def test_a_submission_has_a_row_a_point(sonic, sample, server, sizes, tmp_path):
    sonic(
        *("track", sample / "events.root", "-o", "sub.csv"),
        *("--server", server.url, "--max-events", 2),
    )

    lines = (tmp_path / "sub.csv").read_text().splitlines()
    assert lines[0] == "event_id,hit_id,track_id"
    assert len(lines) == 1 + sizes[0] + sizes[1]


def test_a_wrong_format_lists_the_nearest(sonic, sample, server):
    result = sonic(
        *("track", sample / "events.root", "-o", "t.root"),
        *("--server", server.url, "--format", "jaged"),
    )

    assert result.exit_code == 2
    assert "unknown format 'jaged'" in result.stderr
    assert "'jagged'" in result.stderr


def five_events(sonic, sample, server, policy):
    return sonic(
        *("track", sample / "events.root", "-o", "t.root", "--json", "t.json"),
        *("--server", server.url, "--max-events", 5, "--on-failure", policy),
    )


@pytest.mark.parametrize("policy", ["skip", "fill"])
def test_a_failed_event_is_masked(sonic, sample, picky, tmp_path, policy):
    five_events(sonic, sample, picky, policy)

    tracks = list(TrackEvents(tmp_path / "t.root"))
    assert [track.is_failed for track in tracks] == [False, False, True, False, False]
    n_labels = len(tracks[2].candidates.labels)
    assert n_labels == 0 if policy == "skip" else n_labels > 0
    assert (tracks[2].candidates.labels == -1).all()


def test_a_failed_event_is_named_with_its_cause(sonic, sample, picky, tmp_path):
    result = five_events(sonic, sample, picky, "skip")

    assert result.exit_code == 0, result.output
    tracks = list(TrackEvents(tmp_path / "t.root"))
    report = json.loads((tmp_path / "t.json").read_text())
    (failure,) = report["failures"]
    assert failure["event"] == tracks[2].event_id
    assert "unlucky" in failure["cause"]
    assert f"event {tracks[2].event_id}" in result.stdout


def rows_in_root(path):
    return uproot.open(path)["failures"].arrays().to_list()


def rows_in_text(path):
    return json.loads(str(uproot.open(path)["failures"]))


def rows_in_parquet(path):
    return json.loads(pq.read_metadata(path).metadata[b"failures"])


def rows_beside(path):
    return json.loads(path.with_name(f"{path.name}.failures.json").read_text())


@pytest.mark.parametrize("policy", ["skip", "fill"])
@pytest.mark.parametrize(
    ("output", "form", "rows_in"),
    [
        ("t.root", "ttree", rows_in_root),
        ("t.root", "rntuple", rows_in_root),
        ("t.parquet", "parquet", rows_in_parquet),
        ("t.root", "edm4hep", rows_in_text),
        ("t.csv", "trackml", rows_beside),
    ],
    ids=["ttree", "rntuple", "parquet", "edm4hep", "trackml"],
)
def test_every_output_says_which_events_failed_and_why(
    sonic, sample, picky, tmp_path, policy, output, form, rows_in
):
    result = sonic(
        *("track", sample / "events.root", "-o", output, "--output-format", form),
        *("--server", picky.url, "--max-events", 4, "--on-failure", policy),
    )

    assert result.exit_code == 0, result.output
    (row,) = rows_in(tmp_path / output)
    assert (row["event"], row["entry"], row["producer"]) == (2, 2, "exatrkx")
    assert "unlucky" in row["cause"]
    assert row["servers"] == picky.url
    assert "1: event 2 (" in result.stdout


def test_a_failed_event_ends_the_job_by_default(sonic, sample, picky, tmp_path):
    result = sonic(
        *("track", sample / "events.root", "-o", "t.root", "--server", picky.url)
    )

    assert result.exit_code == 1
    assert not (tmp_path / "t.root").exists()
    first, second = result.stderr.splitlines()[-2:]
    assert first == (
        "sonic: 2 events are in t.root.partial; --resume goes on from there"
    )
    assert "event 2 (entry 2)" in second
    assert "unlucky" in second


def test_a_terminated_job_goes_on(sonic, sample, server, sizes, tmp_path):
    """Stop at the sixth event, resume, and compare with a job that was not stopped."""
    arrived, ended = threading.Event(), threading.Event()

    def stop(tensors):
        if len(tensors["FEATURES"]) == sizes[5]:
            arrived.set()
            ended.wait()
        return label(tensors)

    files = (str(sample / "events.root"), "-o", "t.root")
    with MockServer([model_of(stop)]) as stopping:
        job = subprocess.Popen(
            [
                *(sys.executable, "-m", "sonic_tracking", "track", *files),
                *("--server", stopping.url, "--window", "1"),
            ],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert arrived.wait(WAIT_S)
            job.send_signal(signal.SIGTERM)
            _, stderr = job.communicate(timeout=WAIT_S)
        finally:  # else the server would wait for its model, and the test for both
            ended.set()
            job.kill()

    assert job.returncode == 143
    assert "--resume goes on from there" in stderr
    n_done = len(TrackEvents(tmp_path / "t.root.partial"))
    assert 1 <= n_done <= 5
    again = sonic("track", *files, "--server", server.url)
    assert again.exit_code == 1
    assert "left by an interrupted job; --resume goes on from it" in again.stderr

    resumed = sonic("track", *files, "--server", server.url, "--resume")

    assert resumed.exit_code == 0, resumed.output
    assert f"after {n_done} events" in resumed.stdout
    sonic("track", files[0], "-o", "whole.root", "--server", server.url)
    pairs = zip(
        TrackEvents(tmp_path / "t.root"),
        TrackEvents(tmp_path / "whole.root"),
        strict=True,
    )
    for got, wanted in pairs:
        np.testing.assert_array_equal(got.candidates.labels, wanted.candidates.labels)
    assert not (tmp_path / "t.root.partial").exists()


def test_an_unknown_suffix_is_refused_before_a_server_is_asked(sonic, sample):
    result = sonic(
        *("track", sample / "events.root", "-o", "t.dat"),
        *("--server", "grpc://localhost:1"),
    )

    assert result.exit_code == 2
    assert "t.dat: the suffix says no format" in result.stderr
