"""Triton's ``ModelConfig`` message: read from text or JSON, completed, written as JSON.

Source of the completed fields: ``NormalizeModelConfig`` and ``NormalizeInstanceGroup``
in triton-inference-server/core, ``src/model_config_utils.cc``.
"""

import json
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc.model_config_pb2 import ModelConfig

from mock_server.errors import ConfigurationError

Json = dict[str, Any]
"""A JSON object: its values are of any type."""

PYTHON = "python"
ENSEMBLE = "ensemble"
DEFAULT_IDLE_US = 1_000_000
"""Default of ``max_sequence_idle_microseconds``."""


def config_type(datatype: str) -> int:
    """Return the number of ``TYPE_FP32`` for FP32, of ``TYPE_STRING`` for BYTES."""
    name = "STRING" if datatype == "BYTES" else datatype
    number: int = model_config_pb2.DataType.Value(f"TYPE_{name}")
    return number


def datatype_name(config_type: int) -> str:
    """Return KServe's name of a datatype of a configuration."""
    name = str(model_config_pb2.DataType.Name(config_type)).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def parse_text(text: str, where: str = "config.pbtxt") -> ModelConfig:
    """Read a configuration in protobuf's text format, as a ``config.pbtxt`` is.

    Raises
    ------
    ConfigurationError
        If it cannot be read; the message says where.
    """
    try:
        return text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def parse_json(text: str) -> ModelConfig:
    """Read a configuration as JSON, as it may come with a request to load a model.

    Raises
    ------
    ConfigurationError
        If it cannot be read.
    """
    try:
        value = json.loads(text)
        # protobuf takes an empty list for an empty message.
        fields = value if isinstance(value, dict) else {"": value}
        return json_format.ParseDict(fields, ModelConfig())
    except Exception as error:  # protobuf's reader lets other errors of Python through
        raise ConfigurationError(f"configuration as JSON: {error}") from error


def as_text(config: ModelConfig) -> str:
    """Return the configuration in protobuf's text format, on one line."""
    return str(text_format.MessageToString(config, as_one_line=True))


def as_json(message: Message) -> Json:
    """Return every field in the order of its declaration, defaults written out.

    A nested message appears only if it is set. Unlike in protobuf's own JSON, 64-bit
    integers are numbers.
    """
    fields: Json = {}
    for each in message.DESCRIPTOR.fields:
        value = getattr(message, each.name)
        kind = each.message_type
        if kind is not None and kind.GetOptions().map_entry:
            fields[each.name] = {
                str(key): _json_value(kind.fields_by_name["value"], value[key])
                for key in sorted(value)
            }
        elif each.is_repeated:
            fields[each.name] = [_json_value(each, item) for item in value]
        elif not each.has_presence or message.HasField(each.name):
            fields[each.name] = _json_value(each, value)
    return fields


# Any: a scalar or message of protobuf.
def _json_value(each: FieldDescriptor, value: Any) -> Any:
    if each.message_type is not None:
        return as_json(value)
    if each.enum_type is not None:
        known = each.enum_type.values_by_number.get(value)
        return value if known is None else known.name  # as protobuf itself writes it
    return value


def is_ensemble(config: ModelConfig) -> bool:
    """Return whether the model is made of other models."""
    return bool(config.platform == ENSEMBLE or config.HasField("ensemble_scheduling"))


def completed(config: ModelConfig) -> ModelConfig:
    """Return a copy with all defaults that Triton shows.

    A missing instance group gets the model's name; one of the file without a name gets
    the model's name and a number.
    """
    full = ModelConfig()
    full.CopyFrom(config)
    if not full.HasField("version_policy"):
        full.version_policy.latest.num_versions = 1
    if full.HasField("dynamic_batching"):
        batching = full.dynamic_batching
        if not batching.preferred_batch_size and full.max_batch_size > 0:
            batching.preferred_batch_size.append(full.max_batch_size)
    if full.HasField("sequence_batching"):
        sequences = full.sequence_batching
        if not sequences.max_sequence_idle_microseconds:
            sequences.max_sequence_idle_microseconds = DEFAULT_IDLE_US
        if sequences.WhichOneof("strategy_choice") is None:
            sequences.direct.SetInParent()
    if is_ensemble(full):
        full.platform = ENSEMBLE
        if not full.HasField("model_transaction_policy"):
            full.model_transaction_policy.decoupled = False
        return full
    full.backend = full.backend or PYTHON
    full.default_model_filename = full.default_model_filename or "model.py"
    full.optimization.input_pinned_memory.enable = True
    full.optimization.output_pinned_memory.enable = True
    if not full.instance_group:
        full.instance_group.add(name=full.name)
    for number, group in enumerate(full.instance_group):
        group.name = group.name or f"{full.name}_{number}"
        group.count = group.count or 1
        if group.kind == group.KIND_AUTO:
            group.kind = group.KIND_CPU
    return full


def instance_names(config: ModelConfig) -> list[str]:
    """Return the names of all instances of a completed configuration: ``M_0_0``."""
    return [
        f"{group.name}_{number}"
        for group in config.instance_group
        for number in range(group.count)
    ]
