"""Events that no embedding is good for: answered or refused, in bounded memory."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from exatrkx_pipeline.config import TrackBuildingConfig
from exatrkx_pipeline.graph.graph_construction import neighbours_within_events
from exatrkx_pipeline.graph.neighbours import EDGES_PER_CHUNK
from exatrkx_pipeline.stages import StageClock

MB = 1 << 20


@pytest.fixture
def strict(small_pipeline):
    """A pipeline whose filter lets nothing pass."""
    config = small_pipeline.config
    filtered = replace(config.filter, filter_cut=0.9999)
    return replace(small_pipeline, config=replace(config, filter=filtered))


@pytest.fixture
def lenient(small_pipeline):
    """A pipeline that keeps every edge, and joins whatever edges join."""
    config = small_pipeline.config
    return replace(
        small_pipeline,
        config=replace(
            config,
            filter=replace(config.filter, filter_cut=0.0),
            track_building=TrackBuildingConfig(method="components", score_cut=0.0),
        ),
    )


def equal_points(n_points):
    return np.full((n_points, 3), 0.3, dtype=np.float32)


def numpy_peak_bytes(call):
    """Most memory that numpy held during the call; torch's is not counted."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_points", [0, 1, 2])
def test_nearly_empty_events_get_a_label_a_point(lenient, n_points):
    labels = lenient.labels(equal_points(n_points))

    assert labels.tolist() == [0] * n_points


def test_equal_points_that_all_join_are_one_track(lenient):
    assert set(lenient.labels(equal_points(300))) == {0}


def test_one_giant_component_is_one_label(lenient):
    line = np.linspace((0.03, 0.0, 0.0), (1.0, 0.5, 1.0), 2_000, dtype=np.float32)

    assert set(lenient.labels(line)) == {0}


def test_ten_million_candidates_pass_in_pieces(strict):
    event, clock = equal_points(4_500), StageClock()

    peak = numpy_peak_bytes(lambda: strict.labels(event, clock))

    assert clock.counts["radius_edges"] == 4_500 * 4_499 // 2 > 10_000_000
    assert clock.counts["filtered_edges"] == 0
    assert peak < 64 * MB  # all of them would be 154 MB, and 1.2 GB with their inputs


def test_more_pairs_than_the_limit_are_refused_in_one_line_before_they_are_made(strict):
    limited = replace(strict, max_radius_edges=500_000)
    clock = StageClock()

    with pytest.raises(ValueError, match="too dense") as refusal:
        limited.labels(equal_points(30_000), clock)

    message = str(refusal.value)
    assert "\n" not in message
    for part in ("30000 space points", "more than 500000 pairs", "max_radius_edges"):
        assert part in message
    assert clock.counts["radius_edges"] <= 500_000  # of 450 million


def test_as_many_pairs_as_the_limit_pass(strict):
    exactly = replace(strict, max_radius_edges=300 * 299 // 2)

    assert len(exactly.labels(equal_points(300))) == 300


def test_memory_of_a_search_among_equal_points_is_that_of_a_piece():
    embedded, splits = torch.ones((100_000, 8)), np.array([0, 100_000])
    found = []

    def search():
        pieces = neighbours_within_events(embedded, splits, 1.0, 3_000_000)
        with pytest.raises(ValueError, match="too dense"):
            found.extend(piece.shape[1] for piece in pieces)

    assert numpy_peak_bytes(search) < 64 * MB
    assert max(found) <= EDGES_PER_CHUNK
    assert 2_000_000 < sum(found) <= 3_000_000


def test_the_limit_is_that_of_each_event_of_a_batch(lenient, features):
    events = [features(60, seed) for seed in range(4)]
    clocks = [StageClock() for _ in events]
    for event, clock in zip(events, clocks, strict=True):
        lenient.labels(event, clock)
    most = max(clock.counts["filtered_edges"] for clock in clocks)
    assert most > 0

    enough = replace(lenient, max_edges=most, max_radius_edges=most)
    assert len(enough.labels_of(events)) == 4
    for name in ("max_edges", "max_radius_edges"):
        with pytest.raises(ValueError, match="event of 60 space points is too dense"):
            replace(lenient, **{name: most - 1}).labels_of(events)


def test_edges_are_the_same_with_any_number_of_threads():
    embedded = np.random.default_rng(1).normal(size=(20_000, 8)).astype(np.float32)
    splits = np.array([0, 11_000, 20_000])
    before, found = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            pieces = neighbours_within_events(
                torch.from_numpy(embedded), splits, 1.2, 10**7
            )
            found.append(torch.unique(torch.cat(list(pieces), dim=1), dim=1))
    finally:
        torch.set_num_threads(before)

    assert found[0].shape[1] > 10_000
    for one, other in pairwise(found):
        assert torch.equal(one, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_in_any_event_of_a_batch(
    small_pipeline, features, bad
):
    event = features(20)
    event[7, 1] = bad

    with pytest.raises(ValueError, match="space point 7 is not finite"):
        small_pipeline.labels_of([features(10), event])
