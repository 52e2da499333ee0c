"""Models as config.pbtxt, and back."""

from dataclasses import replace
from pathlib import Path

import pytest

from mock_server import Model, TensorSpec
from mock_server.errors import ConfigurationError
from mock_server.model.batching import (
    Control,
    ControlInput,
    DynamicBatching,
    QueuePolicy,
    SequenceBatching,
    TimeoutAction,
)
from mock_server.model.config import config_of, ensemble_of, model_of, model_of_text
from mock_server.model.config_message import (
    completed,
    instance_names,
    is_ensemble,
    parse_text,
)
from mock_server.model.declaration import Ensemble, Step

CONFORMANCE = Path(__file__).parents[1] / "conformance" / "repository"
TENSORS = """
input { name: "X" data_type: TYPE_FP32 dims: -1 }
output { name: "Y" data_type: TYPE_STRING dims: 1 }
"""


def identity(tensors):
    return tensors


@pytest.mark.parametrize(
    "file", sorted(CONFORMANCE.glob("*/config.pbtxt")), ids=lambda f: f.parent.name
)
def test_configuration_survives_being_a_model(file):
    config = parse_text(file.read_text())
    config.name = file.parent.name  # as the repository does, where it is left out
    if not (config.input and config.output):
        pytest.skip("the model completes it")

    function = ensemble_of(config) if is_ensemble(config) else identity

    assert config_of(model_of(config, function)) == completed(config)


def test_text_and_function_make_a_model():
    model = model_of_text('name: "m" max_batch_size: 4' + TENSORS, identity)

    assert model.inputs == (TensorSpec("X", "FP32", (-1,)),)
    assert model.outputs == (TensorSpec("Y", "BYTES", (1,)),)
    assert (model.name, model.max_batch_size, model.instances) == ("m", 4, 1)
    assert model.function is identity


def test_model_of_a_text_prints_as_it_could_have_been_written():
    model = model_of_text(
        'name: "m" instance_group { count: 3 }'
        + TENSORS
        + "dynamic_batching { max_queue_delay_microseconds: 2000 }"
        + 'model_warmup { name: "w" batch_size: 1 }',
        identity,
    )

    names = {
        "DynamicBatching": DynamicBatching,
        "Model": Model,
        "TensorSpec": TensorSpec,
        "identity": identity,
    }
    assert eval(repr(model), names) == model
    assert "instances=3" in repr(model)
    assert config_of(model).model_warmup[0].name == "w"


SCHEDULING = {
    "dynamic_batching": DynamicBatching(
        preferred_batch_size=(2, 4),
        max_queue_delay_s=0.01,
        preserve_ordering=True,
        priority_levels=3,
        default_priority_level=2,
        default_queue_policy=QueuePolicy(default_timeout_s=1.5, max_queue_size=7),
        priority_queue_policy={
            1: QueuePolicy(
                timeout_action=TimeoutAction.DELAY, allow_timeout_override=True
            )
        },
    ),
    "sequence_batching": SequenceBatching(
        max_sequence_idle_s=3.0,
        control_input=(
            ControlInput("S", Control.START, "FP32", (0.0, 1.0)),
            ControlInput("R", Control.READY, "BOOL", (False, True)),
            ControlInput("E", Control.END, "INT32", (0, 1)),
            ControlInput("C", Control.CORRID, "BYTES"),
        ),
        strategy="oldest",
        max_candidate_sequences=5,
        max_queue_delay_s=0.002,
    ),
}


@pytest.mark.parametrize("kind", SCHEDULING)
def test_scheduling_survives_being_a_configuration(kind):
    model = Model(
        "m",
        [TensorSpec("X", "FP32", (4,), reshape=(2, 2))],
        [TensorSpec("Y", "BF16", (-1,))],
        identity,
        max_batch_size=8,
        instances=2,
        is_decoupled=True,
        **{kind: SCHEDULING[kind]},
    )

    again = model_of(config_of(model), identity)

    assert getattr(again, kind) == SCHEDULING[kind]
    assert replace(again, config_text="") == model


def test_ensemble_survives_being_a_configuration():
    ensemble = Ensemble(
        [Step(model_name="a", input_map={"X": "IN"}, output_map={"Y": "OUT"})]
    )
    spec = [TensorSpec("IN", "FP32", (-1,))], [TensorSpec("OUT", "FP32", (-1,))]
    config = config_of(Model("chain", *spec, ensemble))

    assert config.platform == "ensemble"
    assert config.ensemble_scheduling.step[0].model_name == "a"
    assert not config.instance_group


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ("", ["m_0"]),
        ("instance_group { count: 2 }", ["m_0_0", "m_0_1"]),
        ("instance_group { count: 1 } instance_group { }", ["m_0_0", "m_1_0"]),
        ('instance_group { name: "own" }', ["own_0"]),
    ],
    ids=["none", "one", "two", "named"],
)
def test_instances_are_called_as_triton_calls_them(groups, names):
    model = model_of_text(f'name: "m" {groups}' + TENSORS, identity)

    assert instance_names(config_of(model)) == names


def test_text_that_is_no_configuration_is_refused_with_its_place():
    place = r"config.pbtxt: 1:11 : .*no field named"
    with pytest.raises(ConfigurationError, match=place):
        parse_text('name: "m" nonsense: 1')
