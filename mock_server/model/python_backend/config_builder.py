"""Configuration that a ``model.py`` completes by itself: ``auto_complete_config``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2

_TENSOR_KEYS = {"name", "data_type", "dims", "optional"}

# Any: configurations are JSON here, as the model wants them.
Json = dict[str, Any]


class ModelConfig:
    """A configuration to be completed, and not to be contradicted."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = dict(config)

    def as_dict(self) -> Json:
        """The configuration as it is now."""
        return self._config

    def set_max_batch_size(self, max_batch_size: int) -> None:
        """Batch dimension, if it is not set yet.

        Raises
        ------
        ValueError
            If it is set to more than this.
        """
        present = self._config.get("max_batch_size", 0)
        if present > max_batch_size:
            raise ValueError(
                "configuration specified max_batch_size for model "
                f"'{self._config['name']}', but in auto-complete-config function for "
                f"model, max_batch_size was set to {max_batch_size}"
            )
        self._config["max_batch_size"] = max_batch_size

    def set_dynamic_batching(self) -> None:
        """Join waiting requests, unless the configuration has another way."""
        if self._config.get("sequence_batching"):
            raise ValueError(
                f"configuration specified sequence_batching for model "
                f"'{self._config['name']}', but auto_complete_config sets dynamic "
                "batching"
            )
        self._config.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, policy: Mapping[str, bool]) -> None:
        """Whether it is decoupled, unless the configuration says."""
        self._config.setdefault("model_transaction_policy", dict(policy))

    def add_input(self, tensor: Mapping[str, Any]) -> None:
        """Declare an input, or complete one of that name."""
        self._add("input", tensor)

    def add_output(self, tensor: Mapping[str, Any]) -> None:
        """Declare an output, or complete one of that name."""
        self._add("output", tensor)

    def _add(self, kind: str, tensor: Mapping[str, Any]) -> None:
        unknown = tensor.keys() - _TENSOR_KEYS
        missing = {"name", "data_type", "dims"} - tensor.keys()
        if unknown or missing:
            raise ValueError(
                f"{kind} of model '{self._config['name']}': "
                + (f"unknown keys {sorted(unknown)}" if unknown else "")
                + (f"missing keys {sorted(missing)}" if missing else "")
            )
        present = self._config.setdefault(kind, [])
        for each in present:
            if each["name"] != tensor["name"]:
                continue
            for key, value in tensor.items():
                if each.setdefault(key, value) != value:
                    raise ValueError(
                        f"unable to load model '{self._config['name']}', configuration "
                        f"expects {key} {each[key]} for {kind} '{tensor['name']}', but "
                        f"the model provides {value}"
                    )
            return
        present.append(dict(tensor))


def completed_by(
    model_class: type, config: model_config_pb2.ModelConfig
) -> model_config_pb2.ModelConfig:
    """Configuration as the model's ``auto_complete_config`` leaves it; or as it was.

    Raises
    ------
    BaseException
        Whatever the model raises.
    """
    complete = getattr(model_class, "auto_complete_config", None)
    if complete is None:
        return config
    builder = ModelConfig(
        json_format.MessageToDict(config, preserving_proto_field_name=True)
    )
    builder = complete(builder) or builder
    done = model_config_pb2.ModelConfig()
    json_format.ParseDict(builder.as_dict(), done)
    return done
