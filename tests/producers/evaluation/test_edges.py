"""True edges of particles, and what a stage keeps of them."""

import numpy as np
import pytest

from producers import Particles, TruthEvents, open_events
from producers.evaluation import count_edges, production_vertices, true_edges

IDS = np.array([7, 9, 7, 0, 7, 9], dtype=np.uint64)
XYZ = np.array([[30, 0, 0], [0, 5, 0], [10, 0, 0], [1, 1, 1], [20, 0, 0], [0, 9, 0]])
PARTICLES = Particles(
    particle_id=np.array([9, 7], dtype=np.uint64),
    vertex_mm=np.array([[0, 100, 0], [0, 0, 0]], dtype=np.float32),
    momentum_gev=np.ones((2, 3), dtype=np.float32),
    charge=np.ones(2, dtype=np.float32),
)


def truth():
    return true_edges(IDS, XYZ, production_vertices(IDS, PARTICLES))


def test_true_edges_join_followers_outward_from_the_production_vertex():
    # particle 9 comes from y = 100 mm, so that its point at y = 9 mm is the first
    assert sorted(map(tuple, truth().T.tolist())) == [(2, 4), (4, 0), (5, 1)]


def test_an_event_of_noise_has_no_true_edges():
    noise = np.zeros(3, dtype=np.uint64)

    assert true_edges(noise, np.zeros((3, 3)), np.zeros((3, 3))).shape == (2, 0)
    assert true_edges(noise[:0], np.zeros((0, 3)), np.zeros((0, 3))).shape == (2, 0)


def test_a_particle_that_is_not_listed_is_refused():
    with pytest.raises(ValueError, match="particle 8 of a space point"):
        production_vertices(np.array([8], dtype=np.uint64), PARTICLES)


def test_edges_count_once_whichever_way_they_point():
    # 2-4 twice and both ways, 2-0 on one particle but no followers, 3-0 with noise
    kept = np.array([[2, 4, 4, 0, 3], [4, 2, 2, 2, 0]])

    counts = count_edges(kept, truth(), IDS)

    assert counts.efficiency == (1, 3)
    assert counts.purity == (1, 3)
    assert counts.same_particle_purity == (2, 3)


def test_only_particles_of_interest_make_the_efficiency():
    kept = np.array([[2, 5], [4, 1]])

    counts = count_edges(kept, truth(), IDS, of_interest=IDS == 9)

    assert counts.efficiency == (1, 1)
    assert counts.purity == (2, 2)


def test_two_points_of_noise_are_not_of_one_particle():
    ids = np.zeros(2, dtype=np.uint64)

    counts = count_edges(np.array([[0], [1]]), np.empty((2, 0), dtype=int), ids)

    assert counts.same_particle_purity == (0, 1)


def test_no_edges_are_an_answer():
    none = np.empty((2, 0), dtype=np.int64)

    counts = count_edges(none, truth(), IDS) + count_edges(none, none, IDS[:0])

    assert counts.efficiency == (0, 3)
    assert counts.to_dict()["purity"]["value"] is None


def test_a_stage_that_keeps_the_truth_is_perfect_on_reference_events(shared_data):
    folder = shared_data / "sim_pu0"
    (event, *_) = next(iter(open_events(folder / "spacepoints_ttree.root")))
    true = next(iter(TruthEvents(folder / "truth_ttree.root")))
    vertices = production_vertices(true.particle_id, true.particles)

    edges = true_edges(true.particle_id, event.xyz, vertices)
    counts = count_edges(edges[::-1], edges, true.particle_id)

    n_particles = len(np.unique(true.particle_id[true.particle_id != 0]))
    n_on_particle = np.count_nonzero(true.particle_id)
    assert counts.efficiency == (n_on_particle - n_particles,) * 2
    assert counts.purity.value == 1.0
