"""Matching of candidates to particles, against hand-made cases and brute force."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import TrackCandidates
from producers.evaluation import match_candidates, points_of_particles

BASE = 2**60  # ids next to each other that float64 cannot tell apart


def candidates_of(labels):
    labels = np.asarray(labels, dtype=np.int64)
    return TrackCandidates.from_components(labels, np.zeros((len(labels), 3)))


def ids(numbers):
    """Particle numbers as large ids; 0 stays 0."""
    return np.array([BASE + n if n else 0 for n in numbers], dtype=np.uint64)


@pytest.mark.parametrize(
    ("labels", "particles", "majority", "double", "perfect"),
    [
        ([0, 0, 0], [1, 1, 1], True, True, True),
        ([0, 0, 0, -1], [1, 1, 1, 1], True, True, False),
        ([0, 0, 0, -1, -1, -1], [1] * 6, True, False, False),
        ([0, 0, 0, 0], [1, 1, 1, 2], True, True, False),
        ([0, 0, 0, 0], [1, 1, 2, 2], False, False, False),
        ([0, 0, 0, 0], [1, 1, 0, 0], False, False, False),
        ([0, 0, 0], [0, 0, 0], False, False, False),
    ],
    ids=[
        "whole",
        "one-lost",
        "half-lost",
        "one-too-many",
        "half",
        "half-noise",
        "noise",
    ],
)
def test_styles_of_matching(labels, particles, majority, double, perfect):
    matches = match_candidates(candidates_of(labels), ids(particles))

    assert matches.is_matched("majority").tolist() == [majority]
    assert matches.is_matched("double_majority").tolist() == [double]
    assert matches.is_matched("perfect").tolist() == [perfect]


def test_ids_that_differ_in_their_last_bit_are_different_particles():
    matches = match_candidates(candidates_of([0, 0, 0, 1, 1]), ids([1, 1, 2, 2, 2]))

    assert matches.particle_id.tolist() == [BASE + 1, BASE + 2]
    assert matches.n_shared.tolist() == [2, 2]
    assert matches.n_particle.tolist() == [2, 3]
    assert matches.n_space_points.tolist() == [3, 2]


def test_no_space_points_and_no_candidates_are_answers():
    nothing = match_candidates(candidates_of([]), ids([]))
    unfound = match_candidates(candidates_of([-1, -1]), ids([1, 2]))

    assert len(nothing) == len(unfound) == 0
    assert nothing.is_matched("double_majority").tolist() == []


def test_another_number_of_ids_is_refused():
    with pytest.raises(ValueError, match="expected 2 particle ids"):
        match_candidates(candidates_of([0, 0]), ids([1, 1, 1]))


def test_space_points_of_particles_that_left_none_are_zero():
    counts = points_of_particles(ids([3, 1, 9]), ids([1, 3, 1, 0]))

    assert counts.tolist() == [1, 2, 0]
    assert points_of_particles(ids([1]), ids([])).tolist() == [0]
    assert points_of_particles(ids([]), ids([1])).tolist() == []


@given(
    st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 6)), max_size=60),
)
def test_matches_equal_those_of_counting_one_by_one(points):
    found = candidates_of([label for label, _ in points])
    particle_id = ids([particle for _, particle in points])

    matches = match_candidates(found, particle_id)

    totals = Counter(particle_id.tolist())
    for index in range(len(found)):
        on_candidate = particle_id[found[index]].tolist()
        shared = Counter(number for number in on_candidate if number)
        best = min(shared, key=lambda number: (-shared[number], number), default=0)
        n_t, n_tp, n_p = len(on_candidate), shared[best], totals[best] if best else 0
        assert int(matches.particle_id[index]) == best
        assert matches.n_space_points[index] == n_t
        assert matches.n_shared[index] == n_tp
        assert matches.n_particle[index] == n_p
        assert matches.is_matched("majority")[index] == (n_tp / n_t > 0.5)
        is_double = n_tp / n_t > 0.5 and n_tp / n_p > 0.5
        assert matches.is_matched("double_majority")[index] == is_double
        is_perfect = best != 0 and n_t == n_tp == n_p
        assert matches.is_matched("perfect")[index] == is_perfect
