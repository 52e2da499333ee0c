from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exatrkx_pipeline.graph import neighbours
from exatrkx_pipeline.serving import served_models, split_rows
from exatrkx_pipeline.stages import STAGES, StageClock
from exatrkx_pipeline.tracks.track_building import number_by_first_appearance


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16))
def test_the_partition_does_not_depend_on_the_order_of_the_points(
    small_pipeline, features, seed
):
    event = features(150)
    order = np.random.default_rng(seed).permutation(len(event))

    shuffled = small_pipeline.labels(event[order])

    labels = small_pipeline.labels(event)
    np.testing.assert_array_equal(shuffled, number_by_first_appearance(labels[order]))


@pytest.mark.parametrize("n_points", [0, 1, 2, 3])
def test_tiny_events_get_one_label_a_point(small_pipeline, features, n_points):
    labels = small_pipeline.labels(features(n_points))

    assert labels.shape == (n_points,)
    assert labels.dtype == np.int64


def test_the_input_is_left_as_it_was(small_pipeline, features):
    event = features(50)
    before = event.copy()

    small_pipeline.labels(event)

    np.testing.assert_array_equal(event, before)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (np.zeros((4, 2), dtype=np.float32), "expected shape"),
        (np.zeros(3, dtype=np.float32), "expected shape"),
        (
            np.array([[0.1, 0.0, 0.0], [0.1, np.nan, 0.0]]),
            "space point 1 is not finite",
        ),
    ],
    ids=["two columns", "one dimension", "nan"],
)
def test_wrong_input_is_refused(small_pipeline, event, message):
    with pytest.raises(ValueError, match=message):
        small_pipeline.labels(event)


def test_an_event_with_too_many_edges_is_refused_not_attempted(
    small_pipeline, features
):
    limited = replace(small_pipeline, max_edges=10)

    with pytest.raises(ValueError, match=r"200 space points is too dense.*than 10"):
        limited.labels(features(200))


def test_run_reports_the_edges_of_every_stage_in_input_indices(
    small_pipeline, features
):
    event = features(200)

    stages = small_pipeline.run(event)

    np.testing.assert_array_equal(stages.labels, small_pipeline.labels(event))
    raw = set(map(tuple, stages.radius_edges.T.tolist()))
    kept = set(map(tuple, stages.filtered_edges.T.tolist()))
    assert kept
    assert kept < raw
    assert stages.edge_scores.shape == (len(kept),)
    distance = np.hypot(event[:, 0], event[:, 2])
    outer, inner = stages.radius_edges
    assert (distance[outer] >= distance[inner] - 1e-6).all()
    assert set(stages.seconds) == set(STAGES)


def test_a_large_event_in_chunks_and_blocks_has_the_same_labels(
    small_pipeline, features, monkeypatch
):
    event = features(400, 2)
    whole = small_pipeline.labels(event)

    monkeypatch.setattr(neighbours, "EDGES_PER_CHUNK", 400)

    np.testing.assert_array_equal(small_pipeline.labels(event), whole)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 60), max_size=6))
def test_a_batch_gives_each_event_the_labels_it_has_alone(
    small_pipeline, features, sizes
):
    served = {each.name: each for each in served_models(small_pipeline)}
    single, batch = served["exatrkx"], served["exatrkx_batch"]
    events = [features(n, seed) for seed, n in enumerate(sizes)]
    joined = np.concatenate([np.empty((0, 3), np.float32), *events])
    row_splits = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))

    answer = batch.function({"FEATURES": joined, "ROW_SPLITS": row_splits})

    alone = [single.function({"FEATURES": e})["LABELS"] for e in events]
    np.testing.assert_array_equal(
        answer["LABELS"], np.concatenate([np.empty(0, np.int64), *alone])
    )


@pytest.mark.parametrize("row_splits", [[], [1, 3], [0, 2], [0, 2, 1, 3]], ids=str)
def test_row_splits_that_do_not_cover_the_rows_are_refused(row_splits):
    with pytest.raises(ValueError, match="ROW_SPLITS must ascend from 0 to the 3 rows"):
        split_rows(np.zeros((3, 3), np.float32), np.array(row_splits, dtype=np.int64))


def test_served_models_carry_scales_and_cuts_in_full_precision(small_pipeline):
    model = served_models(small_pipeline)[0]

    scales = tuple(map(float, model.parameters["feature_scales"].split(",")))
    assert scales == small_pipeline.config.features.scales
    assert float(model.parameters["r_val"]) == small_pipeline.config.graph.r_val


def test_a_clock_sums_the_stages_of_all_calls(small_pipeline, features):
    clock = StageClock()
    model = served_models(small_pipeline, clock)[0]

    model.function({"FEATURES": features(50)})
    once = dict(clock.seconds)
    model.function({"FEATURES": features(50)})

    assert all(clock.seconds[stage] > once[stage] > 0.0 for stage in STAGES)
