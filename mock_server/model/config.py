"""A `Model` from Triton's ``ModelConfig``, and a ``ModelConfig`` from a `Model`."""

from collections.abc import Mapping, Sequence

from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from mock_server.errors import ConfigurationError
from mock_server.model.batching import (
    Control,
    ControlInput,
    DynamicBatching,
    QueuePolicy,
    SequenceBatching,
    TimeoutAction,
)
from mock_server.model.config_message import (
    as_text,
    completed,
    config_type,
    datatype_name,
    is_ensemble,
    parse_text,
)
from mock_server.model.declaration import (
    Backend,
    Ensemble,
    Model,
    ModelFunction,
    Step,
    TensorSpec,
)

_MICROSECONDS = 1e6
_FALSE_TRUE_TYPES = {"INT32": int, "FP32": float, "BOOL": bool}
_Kind = model_config_pb2.ModelSequenceBatching.Control.Kind


def model_of_text(
    config: str,
    function: ModelFunction | Backend | Ensemble,
    *,
    version: str = "1",
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Model:
    """Make a model from the text of a ``config.pbtxt`` and a function.

    Parameters
    ----------
    config : str
        As in a model repository.
    function : callable, Backend or Ensemble
        As in `Model`.
    version : str
        A positive integer.
    labels : mapping, optional
        Names of classes, by output; a text has no folder in which to find label files.

    Raises
    ------
    ConfigurationError
        If the text cannot be read, or what it declares is impossible.
    """
    return model_of(parse_text(config), function, version=version, labels=labels)


def model_of(
    config: ModelConfig,
    function: ModelFunction | Backend | Ensemble,
    *,
    version: str = "1",
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Model:
    """Make a model from a configuration, as `model_of_text` does from its text.

    Clients see the configuration itself, with the fields that `Model` does not have.

    Raises
    ------
    ConfigurationError
        If what it declares is impossible.
    """
    try:
        return _declared(config, function, version=version, labels=labels or {})
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _declared(
    config: ModelConfig,
    function: ModelFunction | Backend | Ensemble,
    *,
    version: str,
    labels: Mapping[str, Sequence[str]],
) -> Model:
    full = completed(config)
    dynamic = full.dynamic_batching if full.HasField("dynamic_batching") else None
    sequence = full.sequence_batching if full.HasField("sequence_batching") else None
    return Model(
        name=full.name,
        inputs=[_spec(each, is_optional=each.optional) for each in full.input],
        outputs=[_spec(each, labels=labels.get(each.name, ())) for each in full.output],
        function=function,
        max_batch_size=full.max_batch_size,
        parameters={key: value.string_value for key, value in full.parameters.items()},
        version=version,
        instances=sum(group.count for group in full.instance_group) or 1,
        dynamic_batching=None if dynamic is None else _dynamic_batching(dynamic),
        sequence_batching=None if sequence is None else _sequence_batching(sequence),
        is_decoupled=full.model_transaction_policy.decoupled,
        config_text=as_text(config),
    )


def config_of(model: Model) -> ModelConfig:
    """Return the completed configuration of a model: what Triton would answer.

    A model that was not made of a configuration is one of Triton's python backend, with
    one instance group on the CPU.
    """
    if model.config_text:
        return completed(parse_text(model.config_text, f"model {model.name!r}"))
    config = ModelConfig(name=model.name, max_batch_size=model.max_batch_size)
    for spec in model.inputs:
        config.input.add(optional=spec.is_optional, **_tensor(spec))
    for spec in model.outputs:
        config.output.add(**_tensor(spec))
    for key, value in model.parameters.items():
        config.parameters[key].string_value = value
    if model.dynamic_batching is not None:
        _write_dynamic_batching(model.dynamic_batching, config.dynamic_batching)
    if model.sequence_batching is not None:
        _write_sequence_batching(model.sequence_batching, config.sequence_batching)
    if isinstance(model.function, Ensemble):
        for step in model.function.steps:
            config.ensemble_scheduling.step.add(
                model_name=step.model_name,
                model_version=step.model_version,
                input_map=step.input_map,
                output_map=step.output_map,
            )
        config.ensemble_scheduling.max_inflight_requests = (
            model.function.max_inflight_requests
        )
    if model.is_decoupled:
        config.model_transaction_policy.decoupled = True
    if not is_ensemble(config):
        config.instance_group.add(name=f"{model.name}_0", count=model.instances)
    return completed(config)


def ensemble_of(config: ModelConfig) -> Ensemble:
    """Return the steps of an ensemble's configuration.

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
        ],
        max_inflight_requests=config.ensemble_scheduling.max_inflight_requests,
    )


def _spec(
    message: model_config_pb2.ModelInput | model_config_pb2.ModelOutput,
    *,
    is_optional: bool = False,
    labels: Sequence[str] = (),
) -> TensorSpec:
    return TensorSpec(
        message.name,
        datatype_name(message.data_type),
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


def _dynamic_batching(
    message: model_config_pb2.ModelDynamicBatching,
) -> DynamicBatching:
    return DynamicBatching(
        preferred_batch_size=message.preferred_batch_size,
        max_queue_delay_s=message.max_queue_delay_microseconds / _MICROSECONDS,
        preserve_ordering=message.preserve_ordering,
        priority_levels=message.priority_levels,
        default_priority_level=message.default_priority_level,
        default_queue_policy=_queue_policy(message.default_queue_policy),
        priority_queue_policy={
            level: _queue_policy(policy)
            for level, policy in message.priority_queue_policy.items()
        },
    )


def _write_dynamic_batching(
    settings: DynamicBatching, message: model_config_pb2.ModelDynamicBatching
) -> None:
    message.SetInParent()
    message.preferred_batch_size.extend(settings.preferred_batch_size)
    message.max_queue_delay_microseconds = _microseconds(settings.max_queue_delay_s)
    message.preserve_ordering = settings.preserve_ordering
    message.priority_levels = settings.priority_levels
    message.default_priority_level = settings.default_priority_level
    if settings.default_queue_policy != QueuePolicy():
        _write_queue_policy(settings.default_queue_policy, message.default_queue_policy)
    for level, policy in settings.priority_queue_policy.items():
        _write_queue_policy(policy, message.priority_queue_policy[level])


def _queue_policy(message: model_config_pb2.ModelQueuePolicy) -> QueuePolicy:
    return QueuePolicy(
        timeout_action=TimeoutAction(message.timeout_action),
        default_timeout_s=message.default_timeout_microseconds / _MICROSECONDS,
        allow_timeout_override=message.allow_timeout_override,
        max_queue_size=message.max_queue_size,
    )


def _write_queue_policy(
    policy: QueuePolicy, message: model_config_pb2.ModelQueuePolicy
) -> None:
    message.timeout_action = policy.timeout_action.value
    message.default_timeout_microseconds = _microseconds(policy.default_timeout_s)
    message.allow_timeout_override = policy.allow_timeout_override
    message.max_queue_size = policy.max_queue_size


def _sequence_batching(
    message: model_config_pb2.ModelSequenceBatching,
) -> SequenceBatching:
    is_oldest = message.WhichOneof("strategy_choice") == "oldest"
    strategy = message.oldest if is_oldest else message.direct
    return SequenceBatching(
        max_sequence_idle_s=message.max_sequence_idle_microseconds / _MICROSECONDS,
        control_input=[
            _control_input(each.name, control)
            for each in message.control_input
            for control in each.control
        ],
        strategy="oldest" if is_oldest else "direct",
        max_candidate_sequences=message.oldest.max_candidate_sequences,
        max_queue_delay_s=strategy.max_queue_delay_microseconds / _MICROSECONDS,
    )


def _write_sequence_batching(
    settings: SequenceBatching, message: model_config_pb2.ModelSequenceBatching
) -> None:
    message.max_sequence_idle_microseconds = _microseconds(settings.max_sequence_idle_s)
    delay_us = _microseconds(settings.max_queue_delay_s)
    if settings.strategy == "oldest":
        message.oldest.max_candidate_sequences = settings.max_candidate_sequences
        message.oldest.max_queue_delay_microseconds = delay_us
    else:
        message.direct.SetInParent()
        if delay_us:
            message.direct.max_queue_delay_microseconds = delay_us
    for each in settings.control_input:
        control = message.control_input.add(name=each.name).control.add(
            kind=_Kind.Value(f"CONTROL_SEQUENCE_{each.control.name}")
        )
        if each.control is Control.CORRID:
            control.data_type = config_type(each.datatype)
        else:
            kind = _FALSE_TRUE_TYPES[each.datatype]
            values = getattr(control, f"{each.datatype.lower()}_false_true")
            values.extend(kind(value) for value in each.false_true)


def _control_input(
    name: str, message: model_config_pb2.ModelSequenceBatching.Control
) -> ControlInput:
    control = Control[_Kind.Name(message.kind).removeprefix("CONTROL_SEQUENCE_")]
    if control is Control.CORRID:
        return ControlInput(name, control, datatype_name(message.data_type))
    for datatype in _FALSE_TRUE_TYPES:
        values = tuple(getattr(message, f"{datatype.lower()}_false_true"))
        if len(values) == 2:
            return ControlInput(name, control, datatype, values)
    raise ValueError(
        f"control input {name!r}: expected int32_false_true, fp32_false_true or "
        "bool_false_true with two values"
    )


def _microseconds(seconds: float) -> int:
    return round(seconds * _MICROSECONDS)
