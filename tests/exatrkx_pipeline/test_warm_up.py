"""A model's first call: every model of the catalogue takes it."""

import pytest

from exatrkx_pipeline.serving import ServedModel, warm_up
from exatrkx_pipeline.serving.catalogue import (
    STEPS,
    WHOLE,
    ModelSettings,
    build,
    parameters_of,
)
from exatrkx_pipeline.weights.storage import load_weights, save_weights


@pytest.fixture(scope="module")
def weights(small_pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return save_weights(folder, small_pipeline, training={}, scores={})


@pytest.mark.parametrize("name", [*WHOLE, *STEPS])
def test_every_model_can_be_warmed_up(weights, name):
    parameters = parameters_of(name, load_weights(weights), weights.name)

    warm_up(build(name, ModelSettings(parameters=parameters, folder=weights.parent)))


def test_the_model_is_called_once_with_tensors_as_it_declares_them():
    calls = []

    def function(inputs):
        calls.append({name: (t.shape, t.dtype.name) for name, t in inputs.items()})
        return {}

    inputs = (
        ("FEATURES", "FP32", (-1, 3)),
        ("EDGES", "INT64", (2, -1)),
        ("ROW_SPLITS", "INT64", (-1,)),
    )
    warm_up(ServedModel("m", inputs, (), {}, function))

    assert calls == [
        {
            "FEATURES": ((2, 3), "float32"),
            "EDGES": ((2, 2), "int64"),
            "ROW_SPLITS": ((2,), "int64"),
        }
    ]
