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

from tritonclient.grpc import model_config_pb2

from mock_server.errors import BackendError
from mock_server.model.config.declaration import config_of
from mock_server.model.config.json_form import json_of_message
from mock_server.model.declaration import Model
from mock_server.model.instances import Execution, Instance
from mock_server.model.python_backend.config_builder import completed_by
from mock_server.model.python_backend.module import backend_module, importable
from mock_server.model.python_backend.requests import Infer, InferenceRequest, Served
from mock_server.model.python_backend.responses import InferenceResponse

_import_lock = threading.Lock()  # sys.path and sys.modules belong to the process
_numbers = itertools.count(1)


class PythonBackend:
    """Runs a ``model.py``, loaded anew by its path under a name of its own.

    Parameters
    ----------
    file : Path
        ``MODEL/VERSION/model.py``. What it imports from its folder, and the backend's
        own ``triton_python_backend_utils``, is there while it is loaded and
        initialised, and no other model sees it.
    infer : callable, optional
        Asks another model of the server: ``InferenceRequest.exec``.

    Raises
    ------
    BaseException
        Whatever the file raises when it is imported.
    """

    def __init__(self, file: Path, infer: Infer | None = None) -> None:
        self.file = file
        self._utils = backend_module(file.parent, infer)
        with _import_lock, importable(self._utils, file.parent):
            self._module = _imported(file)

    def __repr__(self) -> str:
        return f"PythonBackend({str(self.file)!r})"

    def completed(
        self, config: model_config_pb2.ModelConfig
    ) -> model_config_pb2.ModelConfig:
        """Configuration as the model's ``auto_complete_config``, if any, leaves it.

        Raises
        ------
        BaseException
            Whatever the model raises.
        """
        return completed_by(self._module.TritonPythonModel, config)

    def start(self, model: Model, instance_name: str, device_id: int) -> Instance:
        """Make a ``TritonPythonModel`` and initialise it.

        Raises
        ------
        BaseException
            Whatever the model raises.
        """
        python_model = self._module.TritonPythonModel()
        instance = PythonInstance(model, python_model)
        initialize = getattr(python_model, "initialize", None)
        if initialize is not None:
            with _import_lock, importable(self._utils, self.file.parent):
                initialize(self._arguments(model, instance_name, device_id))
        return instance

    def _arguments(
        self, model: Model, instance_name: str, device_id: int
    ) -> dict[str, str]:
        return {
            "model_config": json.dumps(json_of_message(config_of(model))),
            "model_instance_kind": "CPU",
            "model_instance_name": instance_name,
            "model_instance_device_id": str(device_id),
            "model_repository": str(self.file.parents[1]),
            "model_version": model.version,
            "model_name": model.name,
        }


def _imported(file: Path) -> ModuleType:
    name = f"_mock_server_model_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # of a .py file there is always one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PythonInstance:
    """One ``TritonPythonModel`` at work."""

    # Any: the object is the user's.
    def __init__(self, model: Model, python_model: Any) -> None:
        self._model, self._python_model = model, python_model

    def execute(self, batch: Sequence[Execution]) -> None:
        """Have the model answer a batch, all its requests at once.

        Raises
        ------
        BackendError
            If it answers with something else than one response a request.
        BaseException
            Whatever the model raises.
        """
        requests = [InferenceRequest.of(Served(self._model, each)) for each in batch]
        answer = self._python_model.execute(requests)
        if inspect.iscoroutine(answer):
            answer = asyncio.run(answer)
        if self._model.is_decoupled and answer is None:
            return
        for execution, response in zip(
            batch, _checked(answer, len(batch)), strict=True
        ):
            answered = response.answer(self._model, execution.request)
            execution.respond(answered, True)

    def finalize(self) -> None:
        """Call the model's own ``finalize``, if it has one."""
        finalize = getattr(self._python_model, "finalize", None)
        if finalize is not None:
            finalize()


def _checked(answer: Any, n_requests: int) -> list[InferenceResponse]:
    """What ``execute`` returned, if it is what it should be."""
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
