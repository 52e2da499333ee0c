"""Queues, batching and sequences: our settings and those of ``ModelConfig``."""

from tritonclient.grpc import model_config_pb2

from mock_server.model.batching import (
    Control,
    ControlInput,
    DynamicBatching,
    QueuePolicy,
    SequenceBatching,
    TimeoutAction,
)
from mock_server.model.config.datatypes import config_type, datatype

_MICROSECONDS = 1e6
_FALSE_TRUE_FIELDS = {
    "INT32": "int32_false_true",
    "FP32": "fp32_false_true",
    "BOOL": "bool_false_true",
}


_Kind = model_config_pb2.ModelSequenceBatching.Control.Kind


def dynamic_batching(message: model_config_pb2.ModelDynamicBatching) -> DynamicBatching:
    """Settings of a ``dynamic_batching`` message."""
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


def dynamic_batching_message(
    settings: DynamicBatching,
) -> model_config_pb2.ModelDynamicBatching:
    """A ``dynamic_batching`` message of settings."""
    message = model_config_pb2.ModelDynamicBatching(
        preferred_batch_size=settings.preferred_batch_size,
        max_queue_delay_microseconds=_microseconds(settings.max_queue_delay_s),
        preserve_ordering=settings.preserve_ordering,
        priority_levels=settings.priority_levels,
        default_priority_level=settings.default_priority_level,
    )
    if settings.default_queue_policy != QueuePolicy():
        message.default_queue_policy.CopyFrom(
            _queue_policy_message(settings.default_queue_policy)
        )
    for level, policy in settings.priority_queue_policy.items():
        message.priority_queue_policy[level].CopyFrom(_queue_policy_message(policy))
    return message


def sequence_batching(
    message: model_config_pb2.ModelSequenceBatching,
) -> SequenceBatching:
    """Settings of a ``sequence_batching`` message."""
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


def sequence_batching_message(
    settings: SequenceBatching,
) -> model_config_pb2.ModelSequenceBatching:
    """A ``sequence_batching`` message of settings."""
    message = model_config_pb2.ModelSequenceBatching(
        max_sequence_idle_microseconds=_microseconds(settings.max_sequence_idle_s)
    )
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
            field = _FALSE_TRUE_FIELDS[each.datatype]
            kind = {"INT32": int, "FP32": float, "BOOL": bool}[each.datatype]
            getattr(control, field).extend(kind(value) for value in each.false_true)
    return message


def _microseconds(seconds: float) -> int:
    return round(seconds * _MICROSECONDS)


def _queue_policy(message: model_config_pb2.ModelQueuePolicy) -> QueuePolicy:
    return QueuePolicy(
        timeout_action=TimeoutAction(message.timeout_action),
        default_timeout_s=message.default_timeout_microseconds / _MICROSECONDS,
        allow_timeout_override=message.allow_timeout_override,
        max_queue_size=message.max_queue_size,
    )


def _queue_policy_message(policy: QueuePolicy) -> model_config_pb2.ModelQueuePolicy:
    return model_config_pb2.ModelQueuePolicy(
        timeout_action=policy.timeout_action.value,
        default_timeout_microseconds=_microseconds(policy.default_timeout_s),
        allow_timeout_override=policy.allow_timeout_override,
        max_queue_size=policy.max_queue_size,
    )


def _control_input(
    name: str, message: model_config_pb2.ModelSequenceBatching.Control
) -> ControlInput:
    control = Control[_Kind.Name(message.kind).removeprefix("CONTROL_SEQUENCE_")]
    if control is Control.CORRID:
        return ControlInput(name, control, datatype(message.data_type))
    for kind, field in _FALSE_TRUE_FIELDS.items():
        values = tuple(getattr(message, field))
        if len(values) == 2:
            return ControlInput(name, control, kind, values)
    raise ValueError(
        f"control input {name!r}: expected int32_false_true, fp32_false_true or "
        "bool_false_true with two values"
    )
