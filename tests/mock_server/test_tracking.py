import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tritonclient.utils import InferenceServerException

from mock_server.tracking import tracking_models

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def pipeline():
    """Small networks with random weights: what they find means nothing."""
    import torch

    from exatrkx_pipeline import config
    from exatrkx_pipeline.pipeline import Pipeline

    cylindrical = ("r", "phi", "z")
    torch.manual_seed(1)
    return Pipeline.untrained(
        config.PipelineConfig(
            features=config.FeatureConfig(
                names=cylindrical, scales=(1000.0, 3.14, 1000.0)
            ),
            embedding=config.EmbeddingConfig(
                node_inputs=cylindrical, hidden=8, n_layers=1
            ),
            graph=config.GraphConfig(r_val=0.05),
            filter=config.FilterConfig(
                node_inputs=cylindrical,
                edge_inputs=(),
                hidden=8,
                n_layers=1,
                filter_cut=0.1,
            ),
            gnn=config.GnnConfig(
                architecture="ResAGNN",
                node_inputs=cylindrical,
                edge_inputs=(),
                hidden=8,
                n_graph_iters=1,
                n_edge_layers=1,
                n_node_layers=1,
            ),
            track_building=config.TrackBuildingConfig(
                method="components", score_cut=0.1
            ),
        )
    )


@pytest.fixture
def client(pipeline, serve, connect, tmp_path):
    from exatrkx_pipeline.weights.storage import save_weights

    weights = save_weights(tmp_path / "weights", pipeline, training={}, scores={})
    return connect(serve(*tracking_models(weights)))


def events(*sizes):
    rng = np.random.default_rng(7)
    return [rng.uniform(-1, 1, (size, 3)).astype(np.float32) for size in sizes]


def test_served_labels_are_those_of_the_pipeline(pipeline, client, tensor):
    (features,) = events(200)
    expected = pipeline.labels(features)

    result = client.infer("exatrkx", [tensor("FEATURES", features)])

    assert 1 < len(np.unique(expected)) < 200  # something is joined, but not all
    assert result.as_numpy("LABELS").dtype == np.int64
    assert_array_equal(result.as_numpy("LABELS"), expected)


def test_batch_of_events_gets_the_labels_of_each(pipeline, client, tensor):
    batch = events(100, 0, 1, 60)
    splits = np.cumsum([0, *map(len, batch)])

    result = client.infer(
        "exatrkx_batch",
        [tensor("FEATURES", np.concatenate(batch)), tensor("ROW_SPLITS", splits)],
    )

    expected = np.concatenate([pipeline.labels(features) for features in batch])
    assert_array_equal(result.as_numpy("LABELS"), expected)


def test_event_without_space_points_has_no_labels(client, tensor):
    (features,) = events(0)

    result = client.infer("exatrkx", [tensor("FEATURES", features)])

    assert result.as_numpy("LABELS").shape == (0,)


def test_model_tells_the_scales_of_its_features(client):
    parameters = client.get_model_config("exatrkx").config.parameters

    assert parameters["feature_names"].string_value == "r,phi,z"
    assert parameters["feature_scales"].string_value == "1000.0,3.14,1000.0"
    assert parameters["weights_id"].string_value != "untrained"


def test_splits_that_do_not_fit_are_an_invalid_argument(client, tensor):
    (features,) = events(10)
    splits = np.array([0, 9])

    with pytest.raises(InferenceServerException) as error:
        client.infer(
            "exatrkx_batch",
            [tensor("FEATURES", features), tensor("ROW_SPLITS", splits)],
        )

    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "ROW_SPLITS must ascend from 0" in error.value.message()


def test_a_point_that_is_not_finite_is_an_invalid_argument(client, tensor):
    (features,) = events(10)
    features[3, 0] = np.nan

    with pytest.raises(InferenceServerException) as error:
        client.infer("exatrkx", [tensor("FEATURES", features)])

    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "space point 3 is not finite" in error.value.message()


def test_an_event_that_is_too_dense_is_an_invalid_argument(client, tensor):
    features = np.zeros((20_000, 3), np.float32)  # all pairs are within the radius

    with pytest.raises(InferenceServerException) as error:
        client.infer("exatrkx", [tensor("FEATURES", features)])

    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "event of 20000 space points is too dense" in error.value.message()


def test_clock_adds_up_the_stages_of_served_requests(
    pipeline, serve, connect, tensor, tmp_path
):
    from exatrkx_pipeline.stages import StageClock
    from exatrkx_pipeline.weights.storage import save_weights

    clock = StageClock()
    weights = save_weights(tmp_path, pipeline, training={}, scores={})
    client = connect(serve(*tracking_models(weights, clock=clock)))

    client.infer("exatrkx", [tensor("FEATURES", events(50)[0])])

    assert sum(clock.seconds.values()) > 0
