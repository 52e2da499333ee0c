"""Model repositories, as planned and as written."""

from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.model_names import SERVED_MODELS
from exatrkx_pipeline.repository import (
    config_text,
    plan_repository,
    write_repository,
)
from exatrkx_pipeline.serving import model_parameters
from exatrkx_pipeline.weights import bundled_weights, load_weights, save_weights

COMMITTED = Path(__file__).parents[2] / "model_repository"
FEW = ["exatrkx", "exatrkx_batch", "exatrkx_ensemble"]
STEPS = ["embed", "frnn", "filter", "applyfilter", "gnn", "wcc"]


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def parsed(plan) -> model_config_pb2.ModelConfig:
    """Read with Triton's own schema, which knows every field and refuses others."""
    return text_format.Parse(config_text(plan), model_config_pb2.ModelConfig())


@pytest.fixture(scope="module")
def plans():
    return {plan.name: plan for plan in plan_repository()}


@pytest.fixture(scope="module")
def weights(small_pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    return save_weights(folder, small_pipeline, training={}, scores={})


def test_committed_repository_is_what_is_written_today(tmp_path):
    write_repository(tmp_path / "written", plan_repository())

    assert files_in(COMMITTED) == files_in(tmp_path / "written")


def test_ensemble_brings_its_steps_and_nothing_else():
    names = [plan.name for plan in plan_repository(["exatrkx_ensemble"])]

    assert names == [*STEPS, "exatrkx_ensemble"]


def test_configurations_are_what_triton_expects(plans):
    config = parsed(plans["exatrkx_batch"])

    assert (config.name, config.backend) == ("exatrkx_batch", "python")
    assert config.max_batch_size == 0
    inputs = [(each.name, each.data_type, list(each.dims)) for each in config.input]
    assert inputs == [
        ("FEATURES", model_config_pb2.TYPE_FP32, [-1, 3]),
        ("ROW_SPLITS", model_config_pb2.TYPE_INT64, [-1]),
    ]
    (output,) = config.output
    assert (output.name, output.data_type) == ("LABELS", model_config_pb2.TYPE_INT64)
    (group,) = config.instance_group
    assert (group.count, group.kind) == (
        1,
        model_config_pb2.ModelInstanceGroup.KIND_CPU,
    )


def test_client_finds_scales_and_cuts_in_the_parameters(plans):
    chosen = load_weights(bundled_weights())
    first = replace(chosen, denser=None)  # the steps do not choose

    for name in FEW:
        pipeline = first if name == "exatrkx_ensemble" else chosen
        parameters = {
            key: value.string_value
            for key, value in parsed(plans[name]).parameters.items()
        }
        assert parameters.items() >= model_parameters(pipeline).items()


def test_ensemble_ties_every_tensor_to_one_that_is_made_before_it(plans):
    ensemble = parsed(plans["exatrkx_ensemble"])
    known = {each.name: (each.data_type, list(each.dims)) for each in ensemble.input}

    for step in ensemble.ensemble_scheduling.step:
        model = parsed(plans[step.model_name])
        inputs = {each.name: each for each in model.input}
        outputs = {each.name: each for each in model.output}
        assert step.input_map.keys() == inputs.keys()
        assert step.output_map.keys() <= outputs.keys()
        for name, tensor in step.input_map.items():
            assert known[tensor] == (inputs[name].data_type, list(inputs[name].dims))
        for name, tensor in step.output_map.items():
            known[tensor] = (outputs[name].data_type, list(outputs[name].dims))

    for each in ensemble.output:
        assert known[each.name] == (each.data_type, list(each.dims))


def test_steps_have_the_tensor_names_of_the_paper(plans):
    names = {
        name: ([i.name for i in config.input], [o.name for o in config.output])
        for name, config in ((name, parsed(plans[name])) for name in STEPS)
    }

    assert names == {
        "embed": (["INPUT__0"], ["OUTPUT__0"]),
        "frnn": (["INPUT0"], ["OUTPUT0"]),
        "filter": (["INPUT__0", "INPUT__1"], ["OUTPUT__0"]),
        "applyfilter": (["FILTER_SCORES", "EDGE_LIST"], ["EDGE_LIST_AFTER_FILTER"]),
        "gnn": (["INPUT__0", "INPUT__1"], ["OUTPUT__0"]),
        "wcc": (["INPUT0", "INPUT1", "FEATURES"], ["OUTPUT0"]),
    }


def test_gpu_takes_the_networks_and_the_search_and_instances_are_counted():
    kinds = {
        plan.name: parsed(plan).instance_group[0]
        for plan in plan_repository(FEW, device="gpu", instances=3)
        if not plan.steps
    }

    gpu = model_config_pb2.ModelInstanceGroup.KIND_GPU
    on_gpu = {name for name, group in kinds.items() if group.kind == gpu}
    assert on_gpu == {"exatrkx", "exatrkx_batch", "embed", "frnn", "filter", "gnn"}
    assert {group.count for group in kinds.values()} == {3}


def test_each_model_that_needs_them_gets_a_copy_of_other_weights(weights, tmp_path):
    repository = tmp_path / "repository"

    write_repository(repository, plan_repository(FEW, weights=weights), weights)

    copies = {path.parts[-4] for path in repository.rglob("model.safetensors")}
    assert copies == {"exatrkx", "exatrkx_batch", "embed", "filter", "gnn"}
    copied = load_weights(repository / "gnn" / "1" / "weights")
    assert copied.weights_id == load_weights(weights).weights_id


def test_models_are_replaced_and_others_left_alone(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "exatrkx" / "7").mkdir(parents=True)

    write_repository(tmp_path, plan_repository(["exatrkx"]))

    assert (tmp_path / "other").is_dir()
    assert not (tmp_path / "exatrkx" / "7").exists()
    assert (tmp_path / "exatrkx" / "1" / "model.py").is_file()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"models": ["exatrk"]}, "expected some of .*exatrkx, .*got exatrk$"),
        ({"models": []}, "got none"),
        ({"instances": 0}, "instances must be at least 1, got 0"),
        ({"device": "tpu"}, "cpu or gpu"),
    ],
    ids=["unknown model", "no model", "no instance", "device"],
)
def test_what_cannot_be_planned_is_refused(wrong, message):
    with pytest.raises(PipelineConfigError, match=message):
        plan_repository(**{"models": SERVED_MODELS, **wrong})
