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

from mock_server.model.python_backend import requests, responses
from mock_server.model.python_backend.config_builder import ModelConfig
from mock_server.model.python_backend.tensors import Tensor, tensor_by_name

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
NUMPY_TO_TRITON_STRING = {
    np.dtype(kind): name for name, kind in TRITON_STRING_TO_NUMPY.items()
}


# Any: configurations are JSON.
def triton_string_to_numpy(triton_type_string: str) -> Any:
    """Type in numpy of a ``TYPE_FP32``; None if it has none."""
    return TRITON_STRING_TO_NUMPY.get(triton_type_string)


def numpy_to_triton_string(data_type: Any) -> str:
    """Name such as ``TYPE_FP32`` of a type of numpy."""
    return NUMPY_TO_TRITON_STRING[np.dtype(data_type)]


def get_input_tensor_by_name(
    inference_request: requests.InferenceRequest, name: str
) -> Tensor | None:
    """An input of a request, or None."""
    return tensor_by_name(inference_request.inputs(), name)


def get_output_tensor_by_name(
    inference_response: responses.InferenceResponse, name: str
) -> Tensor | None:
    """An output of a response, or None."""
    return tensor_by_name(inference_response.output_tensors(), name)


def get_input_config_by_name(model_config: Mapping[str, Any], name: str) -> Any:
    """An input of a configuration, or None."""
    return _config_by_name(model_config, "input", name)


def get_output_config_by_name(model_config: Mapping[str, Any], name: str) -> Any:
    """An output of a configuration, or None."""
    return _config_by_name(model_config, "output", name)


def _config_by_name(model_config: Mapping[str, Any], kind: str, name: str) -> Any:
    return next((t for t in model_config.get(kind, ()) if t["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a decoupled model."""
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled"))


class Logger:
    """Triton's log: the logger of this package, here."""

    _logger = logging.getLogger("mock_server.model")

    @classmethod
    def log_info(cls, message: str) -> None:
        """Log, as information."""
        cls._logger.info("%s", message)

    @classmethod
    def log_warn(cls, message: str) -> None:
        """Log, as a warning."""
        cls._logger.warning("%s", message)

    @classmethod
    def log_error(cls, message: str) -> None:
        """Log, as an error."""
        cls._logger.error("%s", message)

    @classmethod
    def log_verbose(cls, message: str) -> None:
        """Log, for those who look for a fault."""
        cls._logger.debug("%s", message)

    @classmethod
    def log(cls, message: str, level: Any = None) -> None:
        """Log, as information unless a level is given."""
        cls._logger.log(level or logging.INFO, "%s", message)

    INFO, WARNING, ERROR, VERBOSE = (
        logging.INFO,
        logging.WARNING,
        logging.ERROR,
        logging.DEBUG,
    )


def backend_module(folder: Path, infer: requests.Infer | None) -> ModuleType:
    """The module for the models of one version folder of one server.

    Parameters
    ----------
    folder : Path
        Of the version: what ``get_model_dir`` tells.
    infer : callable, optional
        Asks another model of the server; without it `InferenceRequest.exec` refuses.
    """
    module = ModuleType(NAME, "Triton's interface for models, by the mock server.")
    request = type(
        "InferenceRequest",
        (requests.InferenceRequest,),
        {"_infer": staticmethod(infer) if infer else None, "__module__": NAME},
    )
    names = {
        "InferenceRequest": request,
        "InferenceResponse": responses.InferenceResponse,
        "Logger": Logger,
        "ModelConfig": ModelConfig,
        "Tensor": Tensor,
        "TritonError": responses.TritonError,
        "TritonModelException": responses.TritonModelException,
        "TRITON_STRING_TO_NUMPY": TRITON_STRING_TO_NUMPY,
        "get_model_dir": lambda: str(folder),
    }
    for module_of, constant in (
        (requests, "TRITONSERVER_REQUEST_FLAG_SEQUENCE_START"),
        (requests, "TRITONSERVER_REQUEST_FLAG_SEQUENCE_END"),
        (responses, "TRITONSERVER_RESPONSE_COMPLETE_FINAL"),
    ):
        names[constant] = getattr(module_of, constant)
    for function in (
        get_input_config_by_name,
        get_input_tensor_by_name,
        get_output_config_by_name,
        get_output_tensor_by_name,
        numpy_to_triton_string,
        triton_string_to_numpy,
        using_decoupled_model_transaction_policy,
    ):
        names[function.__name__] = function
    names["triton_to_numpy_type"] = triton_string_to_numpy
    names["numpy_to_triton_type"] = numpy_to_triton_string
    vars(module).update(names)
    return module


@contextmanager
def importable(module: ModuleType, folder: Path) -> Iterator[None]:
    """What a ``model.py`` may import as it is run: `module`, and files beside it.

    Both are taken back afterwards, and so is what was imported from the folder: each
    model has files of its own, which may be named alike.
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
