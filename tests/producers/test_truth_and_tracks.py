"""Truth and tracks: written, read back, and the files as others see them."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import (
    Event,
    SchemaError,
    TrackCandidates,
    TrackEvents,
    TrackWriter,
    TruthEvents,
    TruthWriter,
    UnreadableFileError,
)


def event(n_points, event_id=4):
    xyz = np.arange(3 * n_points, dtype=np.float32).reshape(n_points, 3)
    return Event(event_id=event_id, xyz=xyz, source=Path("events.root"), entry=0)


def candidates_of(labels, n_points):
    return TrackCandidates.from_components(np.array(labels), event(n_points).xyz)


def write(path, *events, provenance=None):
    with TrackWriter(path, provenance or {}) as writer:
        for item, candidates in events:
            writer.write(item, candidates)


def test_the_tracks_file_keeps_its_contract(tmp_path):
    path = tmp_path / "tracks.root"
    found = candidates_of([7, -1, 7, 2], 4)
    provenance = {"model": "exatrkx", "input_files": ["events.root"]}

    write(path, (event(4), found), (event(0, 9), None), provenance=provenance)

    file = uproot.open(path)
    labels, candidates = file["labels"].arrays(), file["candidates"].arrays()
    assert labels["event"].tolist() == candidates["event"].tolist() == [4, 9]
    assert labels["sp_label"].tolist() == [[0, -1, 0, 1], []]
    assert candidates["n_space_points"].tolist() == [[2, 1], []]
    assert candidates["sp_index"].tolist() == [[0, 2, 3], []]
    assert str(labels["sp_label"].type) == "2 * var * int32"
    assert json.loads(str(file["provenance"])) == provenance


def test_a_failed_event_is_written_with_every_point_on_no_candidate(tmp_path):
    path = tmp_path / "tracks.root"

    write(path, (event(3), None))

    assert uproot.open(path)["labels"]["sp_label"].array().tolist() == [[-1, -1, -1]]


def test_provenance_may_grow_until_the_end(tmp_path):
    with TrackWriter(tmp_path / "tracks.root", {"model": "exatrkx"}) as writer:
        writer.provenance["failed_events"] = [3]

    provenance = TrackEvents(tmp_path / "tracks.root").provenance
    assert provenance == {"model": "exatrkx", "failed_events": [3]}


def test_provenance_that_json_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write(tmp_path / "tracks.root", provenance={"model": object()})

    assert list(tmp_path.iterdir()) == []


def test_labels_of_another_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="event 4: 3 labels for 4 space points"):
        write(tmp_path / "tracks.root", (event(4), candidates_of([0, 0, 0], 3)))


def test_tracks_come_back_as_they_were(tmp_path):
    path = tmp_path / "tracks.root"
    found = candidates_of([7, -1, 7, 2], 4)

    write(path, (event(4), found), (event(0, 9), None))

    tracks = TrackEvents(path)
    first, second = tracks
    assert len(tracks) == 2
    assert (first.event_id, second.event_id) == (4, 9)
    for name in ("labels", "row_splits", "space_points"):
        read = getattr(first.candidates, name)
        assert read.tolist() == getattr(found, name).tolist()
        assert read.dtype == np.int64
    assert len(second.candidates) == 0


def test_a_file_without_tracks_is_refused(tmp_path, write_tree):
    with pytest.raises(SchemaError, match="no TTree or RNTuple 'labels'"):
        TrackEvents(write_tree())


def test_broken_provenance_is_refused(tmp_path):
    path = tmp_path / "tracks.root"
    write(path)
    with uproot.update(path) as file:
        file["provenance"] = "{"

    with pytest.raises(UnreadableFileError, match="provenance"):
        TrackEvents(path)


def test_reference_truth_equals_an_independent_read(shared_data):
    path = shared_data / "sim_pu0" / "truth_ttree.root"
    expected = uproot.open(path)
    hits = expected["sp_truth"]["sp_particle_id"].array()
    particles = expected["particles"].arrays()

    truth = list(TruthEvents(path))

    assert len(truth) == len(hits) == 20
    assert ak.max(hits) > 2**48
    for entry, got in enumerate(truth):
        assert got.event_id == entry
        assert got.particle_id.dtype == got.particles.particle_id.dtype == np.uint64
        assert got.particle_id.tolist() == hits[entry].tolist()
        own = particles[entry]
        assert got.particles.particle_id.tolist() == own["part_particle_id"].tolist()
        assert got.particles.momentum_gev[:, 2].tolist() == own["part_pz"].tolist()
        assert got.particles.vertex_mm[:, 0].tolist() == own["part_vx"].tolist()


class SimulatedPair:
    """Two particles whose ids differ in the last bit only."""

    event_id = 3
    particle_id = np.array([2**60 + 1, 2**60, 0], dtype=np.uint64)
    n_true_hits = np.array([1, 1, 0], dtype=np.int32)
    particles = dict.fromkeys(
        ("pdg", "nhits", "primary_vertex"), np.ones(2, dtype=np.int32)
    ) | {
        "particle_id": np.array([2**60, 2**60 + 1], dtype=np.uint64),
        "vx": np.array([3.0, 0.0]),
        "vy": np.array([4.0, 0.0]),
        "vz": np.array([-20.0, 5.0]),
        "px": np.array([0.6, 0.0]),
        "py": np.array([-0.8, 2.0]),
        "pz": np.array([0.0, np.sinh(2.0) * 2.0]),
        "q": np.array([1.0, -1.0]),
    }


@pytest.mark.parametrize("form", ["ttree", "rntuple"])
def test_truth_comes_back_as_it_was(tmp_path, form):
    with TruthWriter(tmp_path / "truth.root", form=form) as writer:
        writer.write(SimulatedPair())

    (got,) = TruthEvents(tmp_path / "truth.root")

    assert got.particle_id.tolist() == [2**60 + 1, 2**60, 0]
    assert got.particles.particle_id.tolist() == [2**60, 2**60 + 1]
    np.testing.assert_allclose(got.particles.pt_gev, [1.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(got.particles.eta, [0.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(got.particles.production_radius_mm, [5.0, 0.0])
    assert got.particles.charge.tolist() == [1.0, -1.0]


def test_particle_ids_stored_as_doubles_are_refused(tmp_path):
    columns = [f"part_{name}" for name in ("vx", "vy", "vz", "px", "py", "pz", "q")]
    zeros = ak.Array([[0.0]])
    with uproot.recreate(tmp_path / "truth.root") as file:
        file.mktree("sp_truth", {"event": "int64", "sp_particle_id": "var * float64"})
        file["sp_truth"].extend({"event": np.array([1]), "sp_particle_id": zeros})
        names = ["part_particle_id", *columns]
        file.mktree(
            "particles", {"event": "int64"} | dict.fromkeys(names, "var * float64")
        )
        file["particles"].extend({"event": np.array([1])} | dict.fromkeys(names, zeros))

    with pytest.raises(SchemaError, match="particle ids must be integers"):
        list(TruthEvents(tmp_path / "truth.root"))
