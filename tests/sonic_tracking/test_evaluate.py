"""`sonic evaluate`: numbers, files, and edges where they can be had."""

import json

import numpy as np
import pytest
import torch

from exatrkx_pipeline import Pipeline, save_weights
from producers import (
    TrackCandidates,
    TrackWriter,
    TruthEvents,
    TruthWriter,
    open_events,
)
from producers.simulation import SimulatedEvent

N_EVENTS = 3


@pytest.fixture
def perfect_tracks(sample, tmp_path):
    """The tracks of the truth, without provenance."""
    path = tmp_path / "perfect.root"
    source = open_events(sample / "events.root", max_events=N_EVENTS)
    events = (event for chunk in source for event in chunk)
    with TrackWriter(path, {}) as writer:
        for event, truth in zip(
            events, TruthEvents(sample / "truth.root"), strict=False
        ):
            _, number = np.unique(truth.particle_id, return_inverse=True)
            writer.write(event, TrackCandidates.from_components(number, event.xyz))
    return path


def empty_event(number):
    nothing = np.empty(0, dtype=np.int32)
    floats = ("vx", "vy", "vz", "px", "py", "pz", "q")
    particles = dict.fromkeys(("pdg", "nhits", "primary_vertex"), nothing)
    return SimulatedEvent(
        event_id=number,
        xyz=np.empty((0, 3), dtype=np.float32),
        volume_id=nothing,
        layer_id=nothing,
        module_id=nothing,
        particle_id=nothing.astype(np.uint64),
        n_true_hits=nothing,
        particles={
            "particle_id": nothing.astype(np.uint64),
            **particles,
            **dict.fromkeys(floats, nothing.astype(np.float32)),
        },
    )


@pytest.fixture
def tracks(sonic, sample, weights, tmp_path):
    result = sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--weights", weights, "--max-events", N_EVENTS),
    )
    assert result.exit_code == 0, result.output
    return tmp_path / "tracks.root"


def test_tracks_of_the_truth_are_perfect(sonic, sample, perfect_tracks, tmp_path):
    result = sonic(
        *("evaluate", perfect_tracks, "--truth", sample / "truth.root"),
        *("--json", "eval.json"),
    )

    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "eval.json").read_text())
    assert report["events"] == N_EVENTS
    assert report["efficiency"]["value"] == 1.0
    assert 0.97 < report["efficiency"]["low"] < 1.0
    assert report["fake_rate"]["value"] == 0.0
    assert report["duplicate_rate"]["value"] == 0.0


def test_trackml_score_takes_the_positions_of_the_input(
    sonic, sample, perfect_tracks, tmp_path
):
    sonic(
        *("evaluate", perfect_tracks, "--truth", sample / "truth.root"),
        *("--events", sample / "events.root", "--json", "eval.json"),
    )

    score = json.loads((tmp_path / "eval.json").read_text())["trackml_score"]
    assert score["value"] == pytest.approx(1.0)
    assert score["events"] == N_EVENTS
    assert 0.99 < score["low"] < 1.0


def test_cuts_can_be_chosen(sonic, sample, perfect_tracks, tmp_path):
    job = ("evaluate", perfect_tracks, "--truth", sample / "truth.root")

    sonic(*job, "--json", "hard.json")
    sonic(*job, "--json", "soft.json", "--min-pt", "0.5", "--max-eta", "4")

    hard, soft = (
        json.loads((tmp_path / name).read_text()) for name in ("hard.json", "soft.json")
    )
    assert soft["criteria"]["min_pt_gev"] == 0.5
    assert soft["fiducial_particles"] > hard["fiducial_particles"] > 0
    assert soft["displaced_criteria"]["max_abs_eta"] == 4.0


def test_cut_that_nothing_passes_is_refused(refused, sample, perfect_tracks):
    line = refused(
        *("evaluate", perfect_tracks, "--truth", sample / "truth.root"),
        *("--max-radius", "0"),
        status=2,
    )

    assert "max_production_radius_mm must be above 0" in line


def test_edges_are_counted_after_each_stage(sonic, sample, tracks, weights, tmp_path):
    sonic(
        *("evaluate", tracks, "--truth", sample / "truth.root"),
        *("--weights", weights, "--json", "eval.json"),
    )

    report = json.loads((tmp_path / "eval.json").read_text())
    edges = report["edges"]
    assert list(edges) == ["radius graph", "filter", "gnn", "tracks"]
    assert report["edges_not_counted"] is None
    kept = [edges[stage]["purity"]["total"] for stage in edges]
    assert kept[0] >= kept[1] >= kept[2] > 0
    found = [edges[stage]["efficiency"]["passed"] for stage in edges]
    assert found[0] >= found[1] >= found[2]


def test_plot_is_a_picture(sonic, sample, tracks, weights, tmp_path):
    sonic(
        *("evaluate", tracks, "--truth", sample / "truth.root"),
        *("--weights", weights, "--plot", "eval.png"),
    )

    assert (tmp_path / "eval.png").read_bytes().startswith(b"\x89PNG")


def test_tracks_without_provenance_say_why_edges_are_missing(
    sonic, sample, perfect_tracks
):
    result = sonic("evaluate", perfect_tracks, "--truth", sample / "truth.root")

    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    assert last.startswith("edges per stage not counted: ")
    assert "--events" in last


def test_other_weights_say_why_edges_are_missing(
    sonic, sample, tracks, tiny_config, tmp_path
):
    torch.manual_seed(1)
    other = save_weights(
        tmp_path / "other", Pipeline.untrained(tiny_config), training={}, scores={}
    )

    result = sonic(
        *("evaluate", tracks, "--truth", sample / "truth.root", "--weights", other)
    )

    assert result.exit_code == 0, result.output
    assert "not counted: the tracks were found with" in result.stdout


def test_weights_in_no_place_known_say_why_edges_are_missing(sonic, sample, tracks):
    result = sonic("evaluate", tracks, "--truth", sample / "truth.root")

    assert "which are not among the bundled ones: give its folder" in result.stdout


def test_bundled_weights_are_known_by_what_the_tracks_say(sonic, sample):
    # Of one event alone: the pipeline runs for real.
    sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--weights", "generic_pileup", "--max-events", 1),
    )

    result = sonic("evaluate", "tracks.root", "--truth", sample / "truth.root")

    assert "edge efficiency, gnn" in result.stdout


def test_moved_input_can_be_named(sonic, sample, weights, tmp_path):
    events = tmp_path / "events.root"
    events.write_bytes((sample / "events.root").read_bytes())
    sonic(
        *("track", events, "-o", "tracks.root", "--weights", weights),
        *("--max-events", 1),
    )
    moved = events.rename(tmp_path / "moved.root")
    job = ("evaluate", "tracks.root", "--truth", sample / "truth.root")

    without = sonic(*job, "--weights", weights)
    named = sonic(*job, "--weights", weights, "--events", moved)

    assert "not counted: " in without.stdout
    assert "no such file" in without.stdout
    assert "edge efficiency, gnn" in named.stdout


def test_input_of_another_kind_is_refused(refused, sample, tracks):
    line = refused(
        *("evaluate", tracks, "--truth", sample / "truth.root"),
        *("--events", tracks),
        status=1,
    )

    assert "tracks.root: no tree with the columns" in line


def test_truth_of_other_events_is_refused(refused, sample, tracks, tmp_path):
    with TruthWriter(tmp_path / "other.root") as writer:
        for number in range(N_EVENTS):
            writer.write(empty_event(number))

    line = refused("evaluate", tracks, "--truth", "other.root", status=1)

    assert "event 0 (entry 0)" in line
    assert "in the truth it has 0" in line


@pytest.mark.parametrize("swapped", ["tracks", "truth"])
def test_file_without_the_trees_is_refused(refused, sample, tracks, swapped):
    events = sample / "events.root"
    files = {"tracks": tracks, "truth": sample / "truth.root", swapped: events}

    line = refused("evaluate", files["tracks"], "--truth", files["truth"], status=1)

    assert "events.root: " in line
    assert "no TTree or RNTuple" in line


def test_outputs_that_exist_are_kept(refused, sample, tracks, tmp_path):
    (tmp_path / "eval.json").write_text("precious")

    refused(
        *("evaluate", tracks, "--truth", sample / "truth.root", "--json", "eval.json"),
        status=1,
    )

    assert (tmp_path / "eval.json").read_text() == "precious"
