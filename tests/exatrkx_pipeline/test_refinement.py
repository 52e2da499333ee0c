"""Candidates held against helices: each step on helices made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.config import (
    FeatureConfig,
    RefinementConfig,
    TrackBuildingConfig,
)
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.stages.event_groups import EventGroup
from exatrkx_pipeline.stages.track_candidates import track_candidates
from exatrkx_pipeline.tracks.refinement import refine_tracks
from exatrkx_pipeline.tracks.refinement.chains import MOST_POINTS, Chains
from exatrkx_pipeline.tracks.refinement.extension import extend_tracks
from exatrkx_pipeline.tracks.refinement.helix import (
    COT_THETA,
    N_PARAMETERS,
    Z0,
    Tolerances,
    azimuth_at,
    fit_helix,
    misfit,
    worst_misfit,
)
from exatrkx_pipeline.tracks.refinement.joining import join_tracks
from exatrkx_pipeline.tracks.refinement.rings import (
    MOST_RINGS,
    HelixPath,
    Rings,
    near_in_ring,
    new_near,
    no_crossings,
)
from exatrkx_pipeline.tracks.refinement.splitting import split_tracks

FIELD_T = 2.0
CONFIG = RefinementConfig(field_t=FIELD_T)
LAYERS_MM = np.array([32.0, 72.0, 116.0, 172.0, 260.0, 360.0, 500.0, 660.0, 820.0])


def helix_points(pt_gev, azimuth, cot_theta=0.5, z0=10.0, radii=LAYERS_MM, charge=1):
    """Points of a track from the beam line, where it crosses these radii.

    A circle through the origin is crossed at r after the turn 2 asin(r / 2R).
    """
    radius = pt_gev / (0.299792458e-3 * FIELD_T)
    half_turn = np.arcsin(np.asarray(radii) / (2 * radius))
    phi = azimuth - charge * half_turn
    z = z0 + cot_theta * 2 * radius * half_turn
    return np.column_stack((radii * np.cos(phi), radii * np.sin(phi), z))


def event(*tracks):
    """Points sorted outward, and the number of the track that each is of."""
    xyz = np.concatenate(tracks)
    of_track = np.repeat(np.arange(len(tracks)), [len(track) for track in tracks])
    order = np.argsort(np.linalg.norm(xyz, axis=1), kind="stable")
    return xyz[order], of_track[order]


def same_partition(labels, others):
    """Whether the same pairs of points are together in both."""
    return np.array_equal(
        labels[:, None] == labels[None], others[:, None] == others[None]
    )


momenta = st.floats(0.4, 200.0)
angles = st.floats(-math.pi, math.pi)
slopes = st.floats(-6.0, 6.0)
charges = st.sampled_from((-1, 1))


@given(momenta, angles, slopes, charges)
def test_a_fit_finds_the_helix_that_points_are_on(pt_gev, azimuth, slope, charge):
    xyz = helix_points(pt_gev, azimuth, slope, charge=charge)
    helix = np.empty(N_PARAMETERS)

    fit_helix(xyz, len(xyz), helix)

    chains = Chains.of(np.zeros(len(xyz), np.int64), xyz, CONFIG)
    assert chains.pt_gev(FIELD_T)[0] == pytest.approx(pt_gev, rel=1e-3)
    assert helix[COT_THETA] == pytest.approx(slope, abs=1e-5)
    assert helix[Z0] == pytest.approx(10.0, abs=1e-3)
    assert worst_misfit(xyz, len(xyz), helix, Tolerances(0.01, 0.01)) < 1.0


@given(momenta, angles, charges, st.floats(1.0, 600.0))
def test_a_helix_crosses_a_radius_where_its_points_do(pt_gev, azimuth, charge, r):
    helix = np.empty(N_PARAMETERS)
    xyz = helix_points(pt_gev, azimuth, charge=charge)
    fit_helix(xyz, len(xyz), helix)

    found = azimuth_at(helix, r)

    x, y, _ = helix_points(pt_gev, azimuth, radii=np.array([r]), charge=charge)[0]
    turn = found - math.atan2(y, x)
    assert r * abs(math.remainder(turn, 2 * math.pi)) < 0.01


def test_a_helix_crosses_no_radius_beyond_its_turning_point():
    xyz = helix_points(0.1, 0.0, radii=LAYERS_MM[:5])
    helix = np.empty(N_PARAMETERS)

    fit_helix(xyz, len(xyz), helix)

    assert np.isnan(azimuth_at(helix, 400.0))


@given(momenta, angles, st.integers(0, 2**32 - 1))
def test_the_points_near_a_helix_are_those_that_a_look_at_all_finds(
    pt_gev, azimuth, seed
):
    rng = np.random.default_rng(seed)
    r = rng.uniform(20.0, 60.0, 400)
    phi = rng.uniform(-math.pi, math.pi, 400)
    xyz = np.column_stack((r * np.cos(phi), r * np.sin(phi), rng.uniform(0, 40, 400)))
    track = helix_points(pt_gev, azimuth)
    helix = np.empty(N_PARAMETERS)
    fit_helix(track, len(track), helix)
    rings, tolerances = Rings.of(xyz), Tolerances(4.0, 20.0)
    path, near = HelixPath(helix, no_crossings(rings)), new_near()

    found = set()
    for ring in range(len(rings.starts) - 1):
        n = near_in_ring(rings, ring, path, tolerances, near)
        found |= set(near.points[:n].tolist())

    # Points on the far side of the circle are near it, and not on the way.
    ahead = [
        i
        for i in range(len(xyz))
        if misfit(tuple(xyz[i]), helix, tolerances) <= 1.0
        and abs(
            math.remainder(
                azimuth_at(helix, r[i]) - math.atan2(xyz[i, 1], xyz[i, 0]), 2 * math.pi
            )
        )
        * r[i]
        < 4.0
    ]
    assert set(ahead) <= found
    assert all(misfit(tuple(xyz[i]), helix, tolerances) <= 1.0 for i in found)


def test_a_candidate_on_one_helix_is_not_split():
    xyz, track = event(helix_points(1.0, 0.3), helix_points(5.0, 2.0, -1.0))

    assert same_partition(split_tracks(track, xyz, CONFIG), track)


@pytest.mark.parametrize("n_of_first", [4, 5, 6])
def test_a_candidate_of_two_particles_is_split_between_them(n_of_first):
    inner = helix_points(1.0, 0.3, radii=LAYERS_MM[:n_of_first])
    outer = helix_points(2.0, 0.4, -0.5, radii=LAYERS_MM[n_of_first:])
    xyz, track = event(inner, outer)

    labels = split_tracks(np.zeros_like(track), xyz, CONFIG)

    assert same_partition(labels, track)


def test_a_point_off_the_helix_is_left_alone():
    xyz, track = event(helix_points(1.0, 0.3))
    xyz[4, 2] += 10.0

    labels = split_tracks(track, xyz, CONFIG)

    assert np.count_nonzero(labels == labels[0]) == len(xyz) - 1
    assert np.count_nonzero(labels == labels[4]) == 1


def test_a_tangle_of_many_points_is_left_as_it_is():
    rng = np.random.default_rng(0)
    xyz, _ = event(rng.normal(0.0, 300.0, (MOST_POINTS + 1, 3)))
    labels = np.zeros(len(xyz), dtype=np.int64)

    assert same_partition(refine_tracks(labels, xyz, CONFIG), labels)


@given(st.floats(0.6, 50.0), angles, slopes, charges, st.integers(3, 6))
def test_two_parts_of_one_path_are_joined(pt_gev, azimuth, slope, charge, n_inner):
    path = helix_points(pt_gev, azimuth, slope, charge=charge)
    xyz, part = event(path[:n_inner], path[n_inner:])

    labels = join_tracks(part, Rings.of(xyz), CONFIG)

    assert len(np.unique(labels)) == 1


def test_parts_of_different_paths_are_not_joined():
    inner = helix_points(1.0, 0.3, radii=LAYERS_MM[:5])
    outer = helix_points(1.0, 0.32, radii=LAYERS_MM[5:])
    xyz, part = event(inner, outer)

    labels = join_tracks(part, Rings.of(xyz), CONFIG)

    assert same_partition(labels, part)


def test_parts_beside_each_other_are_not_joined():
    xyz, part = event(helix_points(10.0, 0.3), helix_points(10.0, 0.3005))

    labels = join_tracks(part, Rings.of(xyz), CONFIG)

    assert same_partition(labels, part)


def test_free_points_on_the_way_are_taken_at_both_ends_and_between():
    path = helix_points(1.5, -3.0)
    xyz, part = event(path[[1, 2, 3, 5, 6]], path[[0]], path[[4]], path[[7]])

    labels = extend_tracks(part, Rings.of(xyz), CONFIG)

    assert len(np.unique(labels)) == 1


def test_points_of_other_candidates_are_not_taken():
    path = helix_points(1.5, 1.0)
    other = helix_points(0.7, 0.5, radii=LAYERS_MM[:4])
    xyz, part = event(path[1:], np.concatenate((path[[0]], other)))

    labels = extend_tracks(part, Rings.of(xyz), CONFIG)

    assert same_partition(labels, part)


def test_soft_and_short_candidates_are_dissolved_and_others_are_not():
    hard, soft = helix_points(2.0, 0.0), helix_points(0.6, 2.0)
    short = helix_points(3.0, -2.0, radii=LAYERS_MM[:4])
    xyz, track = event(hard, soft, short)
    config = RefinementConfig(field_t=FIELD_T, min_pt_gev=1.0, min_space_points=5)

    labels = refine_tracks(track, xyz, config)

    assert len(np.unique(labels[track == 0])) == 1
    assert len(np.unique(labels)) == 1 + len(soft) + len(short)


def test_everything_together_mends_what_the_graph_broke():
    first, second = helix_points(1.2, 0.5), helix_points(2.5, 0.7, -0.8, charge=-1)
    xyz, truth = event(first, second)
    broken = truth.copy()
    broken[np.flatnonzero(truth == 0)[-3:]] = 2  # a track in two pieces
    swapped = np.flatnonzero(truth == 1)[3]
    broken[swapped] = 0  # a point on the wrong one

    assert same_partition(refine_tracks(broken, xyz, CONFIG), truth)


@pytest.mark.parametrize("r_mm", [1e5, 1e12, 1e35])
def test_points_beyond_any_detector_are_points_like_others(r_mm):
    far = np.array([[r_mm, 0.0, 0.0], [0.0, r_mm, 1.0], [0.0, -r_mm, 2.0]])
    xyz, track = event(helix_points(1.0, 0.3), far)

    labels = refine_tracks(track, xyz, CONFIG)

    assert len(np.unique(labels[track == 0])) == 1
    assert len(Rings.of(xyz).starts) <= MOST_RINGS + 1


def test_no_points_give_no_labels():
    none = refine_tracks(np.empty(0, np.int64), np.empty((0, 3)), CONFIG)

    assert none.shape == (0,)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_any_points_and_candidates_give_a_label_for_each_point(n, seed):
    rng = np.random.default_rng(seed)
    xyz, _ = event(rng.normal(0.0, 100.0, (n, 3)).round(rng.integers(-2, 3)))
    labels = rng.integers(0, 5, n)

    refined = refine_tracks(labels, xyz, CONFIG)

    assert refined.shape == (n,)
    assert refined.min() >= 0


def test_events_side_by_side_are_refined_each_by_itself():
    features = FeatureConfig(names=("r", "phi", "z"), scales=(1000.0, math.pi, 1000.0))
    building = TrackBuildingConfig(method="components", score_cut=0.5)
    path, _ = event(helix_points(1.5, 1.0))
    r, phi = np.hypot(path[:, 0], path[:, 1]), np.arctan2(path[:, 1], path[:, 0])
    scaled = np.column_stack((r, phi, path[:, 2])) / features.scales
    halves = [part.astype(np.float32) for part in (scaled[:4], scaled[4:])]
    edges = np.array([[1, 2, 3, 5, 6, 7, 8], [0, 1, 2, 4, 5, 6, 7]])
    scores = np.ones(edges.shape[1], dtype=np.float32)

    def labels_of(group):
        components = track_candidates(
            edges,
            scores,
            group.points,
            group.splits,
            building=building,
            refinement=CONFIG,
        )
        return group.labels(components)

    apart = labels_of(EventGroup.of(halves, features))
    whole = labels_of(EventGroup.of([np.concatenate(halves)], features))

    assert [each.tolist() for each in apart] == [[0] * 4, [0] * 5]
    assert whole[0].tolist() == [0] * 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("field_t", 0.0),
        ("field_t", math.nan),
        ("transverse_mm", -1.0),
        ("min_pt_gev", -0.1),
        ("min_space_points", 0),
        ("min_space_points", 1.5),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(PipelineConfigError, match=name):
        RefinementConfig(**{"field_t": FIELD_T, name: value})
