"""A `Model` of a configuration, and the configuration of a `Model`."""

from collections.abc import Iterable, Mapping, Sequence

from tritonclient.grpc import model_config_pb2

from mock_server.model.config import defaults, scheduling, text
from mock_server.model.config.datatypes import config_type, datatype
from mock_server.model.declaration import Model, ModelFunction, TensorSpec
from mock_server.model.ensemble_steps import Ensemble, Step
from mock_server.model.instances import Backend

_SCHEDULING = ("dynamic_batching", "sequence_batching", "ensemble_scheduling")


def model_of_text(
    config: str,
    function: ModelFunction | Backend | Ensemble,
    *,
    version: str = "1",
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Model:
    """Model of a ``config.pbtxt`` text and what is to run.

    Parameters
    ----------
    config : str
        As in a model repository.
    function : callable, Backend or Ensemble
        As in `Model`.
    version : str
        A positive integer.
    labels : mapping, optional
        Names of classes, by output; a text has no folder to find label files in.

    Raises
    ------
    ConfigurationError
        If the text cannot be read.
    ValueError
        If what it declares is impossible.
    """
    return model_of(text.parse_text(config), function, version=version, labels=labels)


def model_of(
    config: model_config_pb2.ModelConfig,
    function: ModelFunction | Backend | Ensemble,
    *,
    version: str = "1",
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Model:
    """Model of a configuration, as `model_of_text`; what it leaves out is completed.

    Fields without a counterpart in `Model` stay in its `further_config`.
    """
    full = defaults.completed(config)
    names = labels or {}
    return Model(
        name=full.name,
        inputs=[_spec(each, is_optional=each.optional) for each in full.input],
        outputs=[_spec(each, labels=names.get(each.name, ())) for each in full.output],
        function=function,
        max_batch_size=full.max_batch_size,
        parameters={key: value.string_value for key, value in full.parameters.items()},
        version=version,
        instances=sum(group.count for group in full.instance_group) or 1,
        dynamic_batching=(
            scheduling.dynamic_batching(full.dynamic_batching)
            if full.HasField("dynamic_batching")
            else None
        ),
        sequence_batching=(
            scheduling.sequence_batching(full.sequence_batching)
            if full.HasField("sequence_batching")
            else None
        ),
        is_decoupled=full.model_transaction_policy.decoupled,
        further_config=text.as_text(_further(config)),
    )


def _further(config: model_config_pb2.ModelConfig) -> model_config_pb2.ModelConfig:
    """What of a configuration a `Model` has no field for, and is not the default."""
    further = model_config_pb2.ModelConfig()
    further.CopyFrom(config)
    for field in ("name", "max_batch_size", "parameters", *_SCHEDULING):
        further.ClearField(field)
    if not further.instance_group and not defaults.is_ensemble(further):
        further.instance_group.add(name=config.name)
    elif len(further.instance_group) == 1 and _is_plain(further.instance_group[0]):
        further.ClearField("instance_group")
    for field, default in (
        ("backend", defaults.PYTHON),
        ("platform", defaults.ENSEMBLE),
        ("default_model_filename", "model.py"),
    ):
        if getattr(further, field) == default:
            further.ClearField(field)
    for each in (*further.input, *further.output):
        for known in ("data_type", "dims", "optional", "reshape"):
            if known in each.DESCRIPTOR.fields_by_name:
                each.ClearField(known)
    for tensors in (further.input, further.output):
        told = [each for each in tensors if len(each.ListFields()) > 1]
        del tensors[:]
        tensors.extend(told)
    if further.model_transaction_policy.decoupled:
        further.ClearField("model_transaction_policy")
    return further


def _is_plain(group: model_config_pb2.ModelInstanceGroup) -> bool:
    """Whether it is the one that `config_of` makes of `Model.instances`."""
    kinds = type(group)
    return group.kind in {kinds.KIND_AUTO, kinds.KIND_CPU} and {
        field.name for field, _ in group.ListFields()
    } <= {"count", "kind"}


def config_of(model: Model) -> model_config_pb2.ModelConfig:
    """Configuration of a model, complete: what Triton would answer.

    A model that says nothing of itself is one of Triton's python backend, with one
    instance group on the CPU.
    """
    config = text.parse_text(model.further_config, f"model {model.name!r}")
    further_inputs = {each.name: each for each in config.input}
    further_outputs = {each.name: each for each in config.output}
    config.ClearField("input")
    config.ClearField("output")
    config.name = model.name
    config.max_batch_size = model.max_batch_size
    for spec in model.inputs:
        added = config.input.add(optional=spec.is_optional, **_tensor(spec))
        added.MergeFrom(further_inputs.get(spec.name, model_config_pb2.ModelInput()))
    for spec in model.outputs:
        shown = config.output.add(**_tensor(spec))
        shown.MergeFrom(further_outputs.get(spec.name, model_config_pb2.ModelOutput()))
    for key, value in model.parameters.items():
        config.parameters[key].string_value = value
    if model.dynamic_batching is not None:
        config.dynamic_batching.CopyFrom(
            scheduling.dynamic_batching_message(model.dynamic_batching)
        )
    if model.sequence_batching is not None:
        config.sequence_batching.CopyFrom(
            scheduling.sequence_batching_message(model.sequence_batching)
        )
    if isinstance(model.function, Ensemble):
        config.ensemble_scheduling.CopyFrom(_ensemble_message(model.function))
    if model.is_decoupled:
        config.model_transaction_policy.decoupled = True
    if not config.instance_group and not defaults.is_ensemble(config):
        config.instance_group.add(name=f"{model.name}_0", count=model.instances)
    return defaults.completed(config)


def ensemble_of(config: model_config_pb2.ModelConfig) -> Ensemble:
    """Steps of the configuration of an ensemble.

    Raises
    ------
    ValueError
        If there are none.
    """
    return Ensemble(
        [
            Step(
                model_name=step.model_name,
                model_version=step.model_version,
                input_map=step.input_map,
                output_map=step.output_map,
            )
            for step in config.ensemble_scheduling.step
        ]
    )


def _ensemble_message(ensemble: Ensemble) -> model_config_pb2.ModelEnsembling:
    message = model_config_pb2.ModelEnsembling()
    for step in ensemble.steps:
        message.step.add(
            model_name=step.model_name,
            model_version=step.model_version,
            input_map=step.input_map,
            output_map=step.output_map,
        )
    return message


def instance_names(config: model_config_pb2.ModelConfig) -> list[str]:
    """Names of all instances, in Triton's messages and to the model: ``M_0_0``."""
    return [
        f"{group.name}_{number}"
        for group in config.instance_group
        for number in range(group.count)
    ]


def _spec(
    message: model_config_pb2.ModelInput | model_config_pb2.ModelOutput,
    *,
    is_optional: bool = False,
    labels: Iterable[str] = (),
) -> TensorSpec:
    return TensorSpec(
        message.name,
        datatype(message.data_type),
        tuple(message.dims),
        is_optional=is_optional,
        labels=tuple(labels),
        reshape=tuple(message.reshape.shape) if message.HasField("reshape") else None,
    )


# object: what protobuf takes for a field.
def _tensor(spec: TensorSpec) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": spec.name,
        "data_type": config_type(spec.datatype),
        "dims": spec.shape,
    }
    if spec.reshape is not None:
        fields["reshape"] = {"shape": spec.reshape}
    return fields
