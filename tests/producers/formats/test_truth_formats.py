"""Truth of every format that has it, against what was written."""

import numpy as np
import pytest
import uproot

from producers import SchemaError, TruthEvents, UnequalEventsError, open_events


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


def test_a_missing_file_of_an_event_is_named(tmp_path):
    path = tmp_path / "event000000001-hits.csv"
    path.write_text("hit_id,x,y,z,volume_id,layer_id,module_id\n1,1,1,1,7,2,1\n")

    with pytest.raises(SchemaError, match="no file of its truth beside it"):
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
