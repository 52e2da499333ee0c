"""The TrackML score of hand-made events."""

import numpy as np
import pytest

from producers import (
    Particles,
    TrackCandidates,
    TrackEvents,
    TrackWriter,
    TruthEvent,
    TruthEvents,
)
from producers import open_events as open_files
from producers.evaluation import (
    Criteria,
    TrackMLScore,
    challenge_weights,
    count_event,
    evaluate,
    hit_weights,
)


def truth_of(on, weight=None, pt=(2.0, 2.0), vertex=(0.0, 0.0)):
    """Two particles, 1 and 2, along x and y, from so far out on their axes."""
    momentum = np.array([[pt[0], 0.0, 0.0], [0.0, pt[1], 0.0]], dtype=np.float32)
    vertices = np.array([[vertex[0], 0.0, 0.0], [0.0, vertex[1], 0.0]])
    particles = Particles(
        particle_id=np.array([1, 2], dtype=np.uint64),
        vertex_mm=vertices.astype(np.float32),
        momentum_gev=momentum,
        charge=np.ones(2, dtype=np.float32),
    )
    return TruthEvent(
        event_id=0,
        particle_id=np.asarray(on, dtype=np.uint64),
        particles=particles,
        weight=None if weight is None else np.asarray(weight, dtype=np.float64),
    )


def score_of(truth, labels, xyz=None):
    labels = np.asarray(labels)
    found = TrackCandidates.from_components(labels, np.zeros((len(labels), 3)))
    return count_event(found, truth, Criteria(), xyz).score


def test_score_is_the_weight_of_points_on_candidates_that_match_both_ways():
    # Particle 1 has four points, particle 2 three, one is noise. The first candidate
    # has three of the four and the noise: good, 0.1 + 0.2 + 0.3. The second has one of
    # particle 2, alone: pure, but a third of it only.
    truth = truth_of(
        on=[1, 1, 1, 1, 2, 2, 2, 0], weight=[0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.0]
    )

    score = score_of(truth, [0, 0, 0, -1, 1, -1, -1, 0])

    assert score.value == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 0, 1, 1, 2, 2], 0.6), ([0, 0, 0, 0, 0, 0], 0.4), ([-1] * 6, 0.0)],
    ids=["halves", "merged", "none"],
)
def test_exactly_half_is_not_enough(labels, expected):
    # Particle 1 has four points, and candidates of two have half of it. The merged
    # candidate has all four among six: more than half.
    truth = truth_of(on=[1, 1, 1, 1, 2, 2], weight=[0.1, 0.1, 0.1, 0.1, 0.3, 0.3])

    assert score_of(truth, labels).value == pytest.approx(expected)


def test_weights_need_not_be_normalised():
    truth = truth_of(on=[1, 1, 2, 2], weight=[3.0, 3.0, 1.0, 1.0])

    assert score_of(truth, [0, 0, 1, 2]).value == pytest.approx(6 / 8)


def test_the_score_of_several_events_is_their_mean():
    good = score_of(truth_of(on=[1, 1], weight=[1.0, 1.0]), [0, 0])
    bad = score_of(truth_of(on=[1, 1], weight=[5.0, 5.0]), [0, 1])

    both = good + bad

    assert (good.value, bad.value, both.value) == (1.0, 0.0, 0.5)


def test_interval_is_that_of_as_many_particles_as_count_effectively():
    # Ten particles of equal weight: as ten that count 1. One of all the weight: as one.
    tail = 0.158655  # outside of one standard deviation, on one side
    alike = TrackMLScore(n_events=1, found=1.0, squares=10 * 0.1**2)
    one = TrackMLScore(n_events=1, found=0.0, squares=1.0)

    np.testing.assert_allclose(alike.interval, (tail**0.1, 1.0), atol=1e-6)
    np.testing.assert_allclose(one.interval, (0.0, 1 - tail), atol=1e-6)
    assert str(alike) == "1.0000 (+0.0000 -0.1681)"


def test_without_weights_or_positions_there_is_no_score():
    score = score_of(truth_of(on=[1, 1, 2, 2]), [0, 0, 1, 1])

    assert score.n_events == 0
    assert score.to_dict()["value"] is None
    assert str(score).startswith("not known")


# Of four points, at places 0, 8/3, 16/3, 8 of the nine: 10, 16/3, 3, 6; sum 73/3.
FOUR = np.array([30, 16, 9, 18]) / 73


def test_weights_of_four_points_are_those_of_the_challenge():
    # Particle 1 has pT 3 GeV or more: weight 1. Particle 2 has 1.75, half-way from 0.5
    # (weight 0.2) to 3: 0.6. Its points come in another order.
    x = np.array([[30.0, 0, 0], [70, 0, 0], [110, 0, 0], [170, 0, 0]])
    y = np.array([[0, 170.0, 0], [0, 30, 0], [0, 110, 0], [0, 70, 0]])
    truth = truth_of(on=[1] * 4 + [2] * 4 + [0], pt=(4.0, 1.75))
    xyz = np.concatenate((x, y, [[500.0, 0, 0]]))

    weight = challenge_weights(truth.particle_id, truth.particles, xyz)

    expected = [*FOUR, *(0.6 * FOUR[[3, 0, 2, 1]]), 0.0]
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
    np.testing.assert_allclose(hit_weights(truth, xyz), weight / 1.6, rtol=1e-6)


def test_points_are_ordered_from_the_production_vertex():
    # Particle 1 is produced at x = 200 mm and flies inward.
    xyz = np.array([[30.0, 0, 0], [70, 0, 0], [110, 0, 0], [170, 0, 0]])
    truth = truth_of(on=[1] * 4, pt=(4.0, 4.0), vertex=(200.0, 0.0))

    weight = challenge_weights(truth.particle_id, truth.particles, xyz)

    np.testing.assert_allclose(weight, FOUR[::-1], rtol=1e-6)


def test_particles_of_three_points_and_points_after_twenty_count_nothing():
    xyz = np.zeros((25, 3))
    xyz[:22, 0] = np.arange(1, 23)
    xyz[22:, 1] = np.arange(1, 4)
    truth = truth_of(on=[1] * 22 + [2] * 3)

    weight = challenge_weights(truth.particle_id, truth.particles, xyz)

    assert (weight[:20] > 0).all()
    assert (weight[20:] == 0).all()


def test_weights_of_a_trackml_file_are_taken_from_it(tmp_path):
    prefix = tmp_path / "event000000007"
    for kind, lines in {
        "hits": (
            "hit_id,x,y,z,volume_id,layer_id,module_id",
            *("1,30,0,0,8,2,1", "2,70,0,0,8,4,1", "3,0,30,0,8,2,2"),
        ),
        "truth": (
            "hit_id,particle_id,tx,ty,tz,tpx,tpy,tpz,weight",
            *("2,9,70,0,0,1,0,0,0.25", "1,9,30,0,0,1,0,0,0.5"),
            "3,0,0,30,0,0,0,0,0",
        ),
        "particles": (
            "particle_id,vx,vy,vz,px,py,pz,q,nhits",
            "9,0,0,0,1,0,0,1,2",
        ),
    }.items():
        (tmp_path / f"event000000007-{kind}.csv").write_text("\n".join(lines) + "\n")
    hits = prefix.with_name(f"{prefix.name}-hits.csv")
    ((event,),) = ([*chunk] for chunk in open_files(hits))
    with TrackWriter(tmp_path / "tracks.root", {}) as writer:
        labels = np.array([0, 0, -1])
        writer.write(event, TrackCandidates.from_components(labels, event.xyz))

    truth = TruthEvents(hits)
    report = evaluate(TrackEvents(tmp_path / "tracks.root"), truth)

    (true,) = truth
    assert true.weight.tolist() == [0.5, 0.25, 0.0]
    assert report.counts.score.value == 1.0
