"""A ``model.py`` file as the backend of a model."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import itertools
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tritonclient.grpc.model_config_pb2 import ModelConfig

from mock_server.errors import BackendError
from mock_server.model.config import config_of
from mock_server.model.config_message import as_json
from mock_server.model.declaration import Execution, Instance, Model
from mock_server.model.python_backend.messages import (
    AskModel,
    InferenceRequest,
    InferenceResponse,
)
from mock_server.model.python_backend.module import (
    auto_completed,
    backend_module,
    importable,
)

_import_lock = threading.Lock()  # sys.path and sys.modules belong to the process
_numbers = itertools.count(1)


class PythonBackend:
    """Runs a ``model.py``, imported by its path under a module name of its own.

    Parameters
    ----------
    file : Path
        ``MODEL/VERSION/model.py``. While it is imported and initialised it can import
        the files of its folder and ``triton_python_backend_utils``; no other model
        sees these modules.
    ask : callable, optional
        Asks another model of the server, for ``InferenceRequest.exec``.

    Raises
    ------
    BaseException
        Whatever the file raises when it is imported.
    """

    def __init__(self, file: Path, ask: AskModel | None = None) -> None:
        self.file = file
        self._utils = backend_module(file.parent, ask)
        with _import_lock, importable(self._utils, file.parent):
            self._module = _imported(file)

    def __repr__(self) -> str:
        return f"PythonBackend({str(self.file)!r})"

    def completed(self, config: ModelConfig) -> ModelConfig:
        """Return the configuration after the model's ``auto_complete_config``, if any.

        Raises
        ------
        BaseException
            Whatever the model raises.
        """
        return auto_completed(self._module.TritonPythonModel, config)

    def start(self, model: Model, instance_name: str, device_id: int) -> Instance:
        """Make a ``TritonPythonModel`` and initialise it.

        Raises
        ------
        BaseException
            Whatever the model raises.
        """
        python_model = self._module.TritonPythonModel()
        initialize = getattr(python_model, "initialize", None)
        if initialize is not None:
            arguments = {
                "model_config": json.dumps(as_json(config_of(model))),
                "model_instance_kind": "CPU",
                "model_instance_name": instance_name,
                "model_instance_device_id": str(device_id),
                "model_repository": str(self.file.parents[1]),
                "model_version": model.version,
                "model_name": model.name,
            }
            with _import_lock, importable(self._utils, self.file.parent):
                initialize(arguments)
        return PythonInstance(model, python_model)


def _imported(file: Path) -> ModuleType:
    name = f"_mock_server_model_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # a .py file always has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PythonInstance:
    """One ``TritonPythonModel``."""

    # Any: the object is the user's.
    def __init__(self, model: Model, python_model: Any) -> None:
        self._model, self._python_model = model, python_model

    def execute(self, batch: Sequence[Execution]) -> None:
        """Have the model answer a batch, all its requests at once.

        Raises
        ------
        BackendError
            If it returns anything but one response per request.
        BaseException
            Whatever the model raises.
        """
        requests = [InferenceRequest.of(self._model, each) for each in batch]
        answer = self._python_model.execute(requests)
        if inspect.iscoroutine(answer):
            answer = asyncio.run(answer)
        if self._model.is_decoupled and answer is None:
            return
        responses = _checked(answer, len(batch))
        for execution, response in zip(batch, responses, strict=True):
            execution.respond(response.as_answer(self._model, execution.request), True)

    def finalize(self) -> None:
        """Call the model's own ``finalize``, if it has one."""
        finalize = getattr(self._python_model, "finalize", None)
        if finalize is not None:
            finalize()


# object: the model is the user's, and may return anything.
def _checked(answer: object, n_requests: int) -> list[InferenceResponse]:
    if not isinstance(answer, list):
        raise BackendError(
            f"Expected a list in the execute return, found type '{type(answer)}'."
        )
    if len(answer) != n_requests:
        raise BackendError(
            "Number of InferenceResponse objects do not match the number of "
            f"InferenceRequest objects. InferenceRequest(s) size is:{n_requests}, and "
            f"InferenceResponse(s) size is:{len(answer)}\n"
        )
    for response in answer:
        if not isinstance(response, InferenceResponse):
            raise BackendError(
                "Expected an 'InferenceResponse' object in the execute function return "
                f"list, found type '{type(response)}'."
            )
    return answer
