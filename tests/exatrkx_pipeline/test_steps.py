"""The steps of the ensemble, chained as a server chains them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.repository import EXATRKX_ENSEMBLE
from exatrkx_pipeline.serving import model_parameters
from exatrkx_pipeline.serving.catalogue import ModelSettings, build, parameters_of
from exatrkx_pipeline.serving.models import outward_edges
from exatrkx_pipeline.serving.parameters import with_parameters
from exatrkx_pipeline.weights.storage import load_weights, save_weights


@pytest.fixture(scope="module")
def weights(small_pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return save_weights(folder, small_pipeline, training={}, scores={})


@pytest.fixture(scope="module")
def loaded(weights):
    return load_weights(weights)


@pytest.fixture(scope="module")
def ensemble(loaded, weights):
    """All steps in a row, each built from its own parameters alone."""

    def run(features, **changed):
        tensors = {"FEATURES": features}
        for step in EXATRKX_ENSEMBLE:
            parameters = parameters_of(step.model, loaded, weights.name)
            parameters |= {k: v for k, v in changed.items() if k in parameters}
            settings = ModelSettings(parameters=parameters, folder=weights.parent)
            inputs = {name: tensors[of] for name, of in step.inputs.items()}
            outputs = build(step.model, settings).function(inputs)
            tensors |= {of: outputs[name] for name, of in step.outputs.items()}
        return tensors

    return run


@settings(deadline=None, max_examples=20)
@given(n_points=st.integers(0, 120), seed=st.integers(0, 2**16))
def test_ensemble_gives_the_labels_of_the_whole_pipeline(
    loaded, ensemble, features, n_points, seed
):
    event = features(n_points)
    event = event[np.random.default_rng(seed).permutation(n_points)]

    labels = ensemble(event)["LABELS"]

    np.testing.assert_array_equal(labels, loaded.labels(event))


def test_no_edge_passes_through_to_a_label_of_its_own_for_each_point(
    ensemble, features
):
    tensors = ensemble(features(40), filter_cut="0.9999")

    assert tensors["filtered_edges"].shape == (2, 0)
    assert tensors["edge_scores"].shape == (0,)
    np.testing.assert_array_equal(tensors["LABELS"], np.arange(40))


def test_edges_between_steps_join_a_higher_index_to_a_lower_one(ensemble, features):
    row, col = ensemble(features(100))["edges"]

    assert len(row) > 0
    assert (row > col).all()


@given(st.integers(1, 50), st.integers(0, 2**16))
def test_outward_edges_are_the_same_edges(n_points, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(n_points)
    given_edges = rng.integers(0, n_points, (2, 30))

    edges, place = outward_edges(given_edges, order)

    assert (edges[0] >= edges[1]).all()
    np.testing.assert_array_equal(
        np.sort(order[edges], axis=0), np.sort(given_edges[:, place], axis=0)
    )


def test_edge_to_a_point_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"indices of the 3 space points, got 0 to 3"):
        outward_edges(np.array([[3], [0]]), np.arange(3))


def test_scores_must_be_as_many_as_edges():
    applyfilter = build(
        "applyfilter", ModelSettings(parameters={"filter_cut": "0.5"}, folder=Path())
    )

    with pytest.raises(ValueError, match="one for each of 2 edges, got 3"):
        applyfilter.function(
            {
                "EDGE_LIST": np.zeros((2, 2), dtype=np.int64),
                "FILTER_SCORES": np.zeros((3, 1), dtype=np.float32),
            }
        )


def test_cuts_are_those_of_the_parameters(loaded):
    parameters = model_parameters(loaded) | {
        "r_val": "0.5",
        "filter_cut": "0.25",
        "track_building": "cc_and_walk",
        "score_cut": "0.75",
        "walk_add": "0.9",
    }

    config = with_parameters(loaded, parameters).config

    assert config.graph.r_val == 0.5
    assert config.filter == replace(loaded.config.filter, filter_cut=0.25)
    tracks = config.track_building
    assert (tracks.method, tracks.score_cut) == ("cc_and_walk", 0.75)
    assert (tracks.walk_min, tracks.walk_add) == (0.1, 0.9)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("feature_scales", "1.0,1.0,1.0", "write the repository again"),
        ("weights_id", "0123456789abcdef", "write the repository again"),
        ("filter_cut", "low", "expected a number, got 'low'"),
        ("filter_cut", "1.5", "filter_cut must be in"),
        ("track_building", "magic", "expected one of"),
        ("score_cut", None, "lacks parameter score_cut"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(loaded, name, value, message):
    parameters = model_parameters(loaded) | {name: value}
    if value is None:
        del parameters[name]

    with pytest.raises(PipelineConfigError, match=message):
        with_parameters(loaded, parameters)


def test_parameters_survive_the_way_through_a_configuration(loaded):
    parameters = json.loads(json.dumps(model_parameters(loaded)))

    assert with_parameters(loaded, parameters).config == loaded.config


def test_limits_are_those_of_the_parameters(loaded):
    parameters = model_parameters(loaded) | {"max_edges": "7", "max_radius_edges": "9"}

    limited = with_parameters(loaded, parameters)

    assert (limited.max_edges, limited.max_radius_edges) == (7, 9)


def test_a_repository_written_before_there_were_limits_has_the_usual_ones(loaded):
    parameters = model_parameters(loaded)
    del parameters["max_edges"], parameters["max_radius_edges"]

    limited = with_parameters(loaded, parameters)

    assert limited.max_edges == loaded.max_edges
    assert limited.max_radius_edges == loaded.max_radius_edges


@pytest.mark.parametrize("value", ["0", "-1", "1e6", "many", ""])
def test_a_limit_that_is_no_number_of_edges_is_refused(loaded, value):
    parameters = model_parameters(loaded) | {"max_radius_edges": value}

    with pytest.raises(PipelineConfigError, match="max_radius_edges: expected a pos"):
        with_parameters(loaded, parameters)


@pytest.mark.parametrize("limit", ["max_radius_edges", "max_edges"])
def test_ensemble_refuses_what_is_above_its_limits(ensemble, features, limit):
    with pytest.raises(ValueError, match=f"too dense.*raise.* {limit}"):
        ensemble(features(200), **{limit: "10"})
