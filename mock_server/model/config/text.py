"""Configurations as written: ``config.pbtxt``, and the JSON of a load request."""

import json

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2


class ConfigurationError(ValueError):
    """A model configuration that Triton would not load."""


def parse_text(text: str, where: str = "config.pbtxt") -> model_config_pb2.ModelConfig:
    """Configuration of a text in protobuf's text format, as a ``config.pbtxt`` is.

    Raises
    ------
    ConfigurationError
        If it cannot be read; the message says where.
    """
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def parse_json(text: str) -> model_config_pb2.ModelConfig:
    """Configuration of a JSON text, as it may come with a request to load a model.

    Raises
    ------
    ConfigurationError
        If it cannot be read.
    """
    try:
        value = json.loads(text)
        # protobuf takes an empty list for an empty message.
        fields = value if isinstance(value, dict) else {"": value}
        return json_format.ParseDict(fields, model_config_pb2.ModelConfig())
    except (json_format.ParseError, json.JSONDecodeError) as error:
        raise ConfigurationError(f"configuration as JSON: {error}") from error


def as_text(config: model_config_pb2.ModelConfig) -> str:
    """The configuration in protobuf's text format, on one line."""
    return str(text_format.MessageToString(config, as_one_line=True))
