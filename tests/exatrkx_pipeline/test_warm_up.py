"""The catalogue of served models, and their first call."""

import pytest

from exatrkx_pipeline.model_names import WHOLE_MODELS
from exatrkx_pipeline.repository import EXATRKX_ENSEMBLE
from exatrkx_pipeline.serving import ServedModel, catalogue, warm_up
from exatrkx_pipeline.serving.catalogue import (
    CATALOGUE,
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


def test_names_without_torch_are_those_of_the_catalogue():
    assert tuple(WHOLE) == WHOLE_MODELS
    assert tuple(STEPS) == tuple(step.model for step in EXATRKX_ENSEMBLE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_model_can_be_warmed_up(weights, name):
    parameters = parameters_of(name, load_weights(weights), weights.name)

    model = build(name, ModelSettings(parameters=parameters, folder=weights.parent))
    assert model.name == name
    warm_up(model)


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


@pytest.mark.parametrize("kind", ["link", "folder that all may write to", "file"])
def test_a_lock_that_another_user_laid_out_is_not_touched(monkeypatch, tmp_path, kind):
    victim, folder = tmp_path / "victim", tmp_path / "lock"
    victim.mkdir()
    if kind == "link":
        folder.symlink_to(victim)
    elif kind == "file":
        folder.touch()
    else:
        folder = victim
        folder.chmod(0o777)
    monkeypatch.setattr(catalogue, "LOCK_FOLDER", folder)
    calls = []

    warm_up(ServedModel("m", (), (), {}, calls.append))

    assert calls == [{}]
    assert list(victim.iterdir()) == []
