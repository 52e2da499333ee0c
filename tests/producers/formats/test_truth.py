"""Truth of every format that has it, against what was written."""

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import (
    SchemaError,
    TruthEvents,
    TruthWriter,
    UnequalEventsError,
    open_events,
)


def test_each_point_is_on_the_particle_that_made_it(written_with_truth, hits):
    events = list(TruthEvents(written_with_truth))

    assert [event.event_id for event in events] == list(hits.event_ids)
    for event, expected in zip(events, hits.particle, strict=True):
        assert event.particle_id.dtype == np.uint64
        ids = event.particles.particle_id
        assert len(set(ids.tolist())) == 2
        wanted = np.where(expected < 0, np.uint64(0), ids[expected])
        assert event.particle_id.tolist() == wanted.tolist()


def test_particles_are_in_millimetres_and_gev(written_with_truth, hits):
    for event in TruthEvents(written_with_truth):
        np.testing.assert_allclose(event.particles.vertex_mm, hits.vertex)
        np.testing.assert_allclose(
            event.particles.momentum_gev, hits.momentum, rtol=1e-6
        )
        assert event.particles.charge.tolist() == hits.charge.tolist()
        assert event.particles.pt_gev[0] == pytest.approx(5.0)


def test_truth_is_of_the_events_that_are_read(written_with_truth):
    source, truth = open_events(written_with_truth), TruthEvents(written_with_truth)

    events = [event for chunk in source for event in chunk]

    for event, true in zip(events, truth, strict=True):
        assert event.event_id == true.event_id
        assert len(event) == len(true.particle_id)


def test_the_links_of_an_edm4hep_file_are_followed(shared_data):
    """Each event has a 3D hit, linked to the first of three particles, and a plane."""
    path = shared_data / "root_fixtures" / "edm4hep_example.root"

    events = list(TruthEvents(path))

    tree = uproot.open(path)["events"]
    momenta = tree["MCParticleCollection.momentum.y"].array()
    assert [event.particle_id.tolist() for event in events] == [[1, 0]] * 3
    for event, momentum in zip(events, momenta, strict=True):
        assert event.particles.particle_id.tolist() == [1, 2, 3]
        assert event.particles.momentum_gev[:, 1].tolist() == momentum.tolist()


def test_an_edm4hep_file_without_links_has_no_truth(shared_data):
    path = shared_data / "root_fixtures" / "coffea_test_FCC_Winter2023.root"

    with pytest.raises(SchemaError, match="nor the truth of another known format"):
        TruthEvents(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("event000000001-hits.csv", r"expected event000000001-truth\.csv beside it"),
        ("hits.csv", r"expected a name like event000000042-hits\.csv"),
    ],
)
def test_a_missing_file_of_an_event_is_named(tmp_path, name, expected):
    path = tmp_path / name
    path.write_text("hit_id,x,y,z,volume_id,layer_id,module_id\n1,1,1,1,7,2,1\n")

    with pytest.raises(SchemaError, match=expected):
        TruthEvents(path)


def test_space_points_without_their_measurements_are_refused(written_acts):
    (written_acts.parent / "measurements.root").unlink()

    with pytest.raises(SchemaError, match=r"no tree 'measurements' in it, nor meas"):
        TruthEvents(written_acts)


def test_truth_that_lacks_a_hit_is_refused(tmp_path):
    prefix = tmp_path / "event000000001"
    hits = "hit_id,x,y,z,volume_id,layer_id,module_id\n1,1,1,1,7,2,1\n2,1,1,1,7,2,1\n"
    truth = "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight\n1,5,0,0,0,0,0,0,0.1\n"
    particles = "particle_id,vx,vy,vz,px,py,pz,q,nhits\n5,0,0,0,1,0,0,1,9\n"
    for kind, text in (("hits", hits), ("truth", truth), ("particles", particles)):
        prefix.with_name(f"{prefix.name}-{kind}.csv").write_text(text)

    with pytest.raises(UnequalEventsError, match="not the hits of"):
        list(TruthEvents(prefix.with_name(f"{prefix.name}-truth.csv")))


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


def test_truth_whose_trees_disagree_is_refused(tmp_path):
    columns = [f"part_{name}" for name in ("vx", "vy", "vz", "px", "py", "pz", "q")]
    ids = ak.Array(np.ones((2, 1), dtype=np.uint64))
    with uproot.recreate(tmp_path / "truth.root") as file:
        file.mktree("sp_truth", {"event": "int64", "sp_particle_id": "var * uint64"})
        file["sp_truth"].extend(
            {"event": np.array([1, 2]), "sp_particle_id": ak.from_regular(ids)}
        )
        types = {"event": "int64", "part_particle_id": "var * uint64"}
        file.mktree("particles", types | dict.fromkeys(columns, "var * float32"))
        zeros = ak.from_regular(ak.Array(np.zeros((2, 1), dtype=np.float32)))
        file["particles"].extend(
            {"event": np.array([1, 3]), "part_particle_id": ak.from_regular(ids)}
            | dict.fromkeys(columns, zeros)
        )

    with pytest.raises(UnequalEventsError, match=r"entry 1 is event 2 .*event 3"):
        list(TruthEvents(tmp_path / "truth.root"))
