"""``triton_python_backend_utils``, as a ``model.py`` imports it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2

from mock_server.model import config_message
from mock_server.model.config_message import Json
from mock_server.model.python_backend import messages
from mock_server.model.python_backend.tensors import Tensor, tensor_by_name
from sonic_base import check_keys

NAME = "triton_python_backend_utils"
TRITON_STRING_TO_NUMPY = {
    "TYPE_BOOL": bool,
    "TYPE_UINT8": np.uint8,
    "TYPE_UINT16": np.uint16,
    "TYPE_UINT32": np.uint32,
    "TYPE_UINT64": np.uint64,
    "TYPE_INT8": np.int8,
    "TYPE_INT16": np.int16,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_FP64": np.float64,
    "TYPE_STRING": np.object_,
}
_NUMPY_TO_TRITON_STRING = {
    np.dtype(kind): name for name, kind in TRITON_STRING_TO_NUMPY.items()
}
_UNSET = {"data_type": "TYPE_INVALID", "dims": [], "optional": False}


class ModelConfig:
    """A configuration that ``auto_complete_config`` adds to, and must not contradict.

    As a dictionary it has every field of ``ModelConfig``, unset ones at their default.
    """

    def __init__(self, config: Json) -> None:
        self._config = config

    def as_dict(self) -> Json:
        return self._config

    def set_max_batch_size(self, max_batch_size: int) -> None:
        """Set the largest batch.

        Raises
        ------
        ValueError
            If the configuration has a larger one already.
        """
        if self._config["max_batch_size"] > max_batch_size:
            raise ValueError(
                "configuration specified max_batch_size for model "
                f"'{self._config['name']}', but in auto-complete-config function for "
                f"model, max_batch_size was set to {max_batch_size}"
            )
        self._config["max_batch_size"] = max_batch_size

    def set_dynamic_batching(self) -> None:
        """Join waiting requests.

        Raises
        ------
        ValueError
            If the configuration has another scheduler.
        """
        if "sequence_batching" in self._config:
            raise ValueError(
                f"configuration specified sequence_batching for model "
                f"'{self._config['name']}', but auto_complete_config sets dynamic "
                "batching"
            )
        self._config.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, policy: Mapping[str, bool]) -> None:
        """Declare whether the model is decoupled, unless the configuration says so."""
        self._config.setdefault("model_transaction_policy", dict(policy))

    def add_input(self, tensor: Json) -> None:
        """Declare an input, or complete the one of that name."""
        self._add("input", tensor)

    def add_output(self, tensor: Json) -> None:
        """Declare an output, or complete the one of that name."""
        self._add("output", tensor)

    def _add(self, kind: str, tensor: Json) -> None:
        model = self._config["name"]
        check_keys(tensor, ("name", *_UNSET), where=f"{kind} of model {model!r}")
        missing = {"name", "data_type", "dims"} - tensor.keys()
        if missing:
            raise ValueError(f"{kind} of model {model!r}: no {sorted(missing)}")
        present = self._config[kind]
        for each in present:
            if each["name"] != tensor["name"]:
                continue
            for key in tensor.keys() - {"name"}:
                if each[key] not in (_UNSET[key], tensor[key]):
                    raise ValueError(
                        f"unable to load model '{model}', configuration expects {key} "
                        f"{each[key]} for {kind} '{tensor['name']}', but the model "
                        f"provides {tensor[key]}"
                    )
                each[key] = tensor[key]
            return
        present.append(dict(tensor))


def auto_completed(
    model_class: type, config: model_config_pb2.ModelConfig
) -> model_config_pb2.ModelConfig:
    """Return the configuration after the model's ``auto_complete_config``, if any.

    Raises
    ------
    BaseException
        Whatever the model raises.
    """
    complete = getattr(model_class, "auto_complete_config", None)
    if complete is None:
        return config
    given = ModelConfig(config_message.as_json(config))
    returned = complete(given) or given
    return json_format.ParseDict(returned.as_dict(), model_config_pb2.ModelConfig())


class Logger:
    """Triton's log: here it is the logger ``mock_server.model``."""

    INFO, WARNING, ERROR, VERBOSE = (
        logging.INFO,
        logging.WARNING,
        logging.ERROR,
        logging.DEBUG,
    )
    _logger = logging.getLogger("mock_server.model")

    @classmethod
    def log(cls, message: str, level: int | None = None) -> None:
        cls._logger.log(level or cls.INFO, "%s", message)

    @classmethod
    def log_info(cls, message: str) -> None:
        cls.log(message, cls.INFO)

    @classmethod
    def log_warn(cls, message: str) -> None:
        cls.log(message, cls.WARNING)

    @classmethod
    def log_error(cls, message: str) -> None:
        cls.log(message, cls.ERROR)

    @classmethod
    def log_verbose(cls, message: str) -> None:
        cls.log(message, cls.VERBOSE)


# Any: a numpy type, or None.
def triton_string_to_numpy(triton_type_string: str) -> Any:
    return TRITON_STRING_TO_NUMPY.get(triton_type_string)


# Any: whatever `np.dtype` takes.
def numpy_to_triton_string(data_type: Any) -> str:
    return _NUMPY_TO_TRITON_STRING[np.dtype(data_type)]


def get_input_tensor_by_name(
    inference_request: messages.InferenceRequest, name: str
) -> Tensor | None:
    return tensor_by_name(inference_request.inputs(), name)


def get_output_tensor_by_name(
    inference_response: messages.InferenceResponse, name: str
) -> Tensor | None:
    return tensor_by_name(inference_response.output_tensors(), name)


def get_input_config_by_name(model_config: Json, name: str) -> Json | None:
    return next((t for t in model_config["input"] if t["name"] == name), None)


def get_output_config_by_name(model_config: Json, name: str) -> Json | None:
    return next((t for t in model_config["output"] if t["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: Json) -> bool:
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled"))


def backend_module(folder: Path, ask: messages.AskModel | None) -> ModuleType:
    """Return the module for the models of one version folder of one server.

    Parameters
    ----------
    folder : Path
        Of the version: what ``get_model_dir`` returns.
    ask : callable, optional
        Asks another model of the server; without it `InferenceRequest.exec` raises.
    """
    request = type(
        "InferenceRequest",
        (messages.InferenceRequest,),
        {"_ask": staticmethod(ask) if ask else None, "__module__": NAME},
    )
    module = ModuleType(NAME, "Triton's interface for models, by the mock server.")
    vars(module).update(
        InferenceRequest=request,
        InferenceResponse=messages.InferenceResponse,
        Logger=Logger,
        ModelConfig=ModelConfig,
        Tensor=Tensor,
        TritonError=messages.TritonError,
        TritonModelException=messages.TritonModelException,
        TRITON_STRING_TO_NUMPY=TRITON_STRING_TO_NUMPY,
        TRITONSERVER_REQUEST_FLAG_SEQUENCE_START=(
            messages.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START
        ),
        TRITONSERVER_REQUEST_FLAG_SEQUENCE_END=(
            messages.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END
        ),
        TRITONSERVER_RESPONSE_COMPLETE_FINAL=(
            messages.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        ),
        get_input_config_by_name=get_input_config_by_name,
        get_input_tensor_by_name=get_input_tensor_by_name,
        get_model_dir=lambda: str(folder),
        get_output_config_by_name=get_output_config_by_name,
        get_output_tensor_by_name=get_output_tensor_by_name,
        numpy_to_triton_string=numpy_to_triton_string,
        numpy_to_triton_type=numpy_to_triton_string,
        triton_string_to_numpy=triton_string_to_numpy,
        triton_to_numpy_type=triton_string_to_numpy,
        using_decoupled_model_transaction_policy=(
            using_decoupled_model_transaction_policy
        ),
    )
    return module


@contextmanager
def importable(module: ModuleType, folder: Path) -> Iterator[None]:
    """Let a ``model.py`` import `module`, and the files beside it, while it runs.

    Both are taken back afterwards, and so is what was imported from the folder: each
    model has files of its own, which may have the same names.
    """
    before = dict(sys.modules)
    path = str(folder)
    sys.modules[NAME] = module
    sys.path.insert(0, path)
    try:
        yield
    finally:
        sys.path.remove(path)
        for name, loaded in list(sys.modules.items()):
            origin = getattr(loaded, "__file__", None) or ""
            if name == NAME or (name not in before and origin.startswith(f"{path}/")):
                del sys.modules[name]
        if NAME in before:
            sys.modules[NAME] = before[NAME]
