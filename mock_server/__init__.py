"""A Triton Inference Server in this process, for any Python callable.

It speaks KServe v2 over gRPC and HTTP on loopback, with Triton's status codes, texts
and counters, so that a client can be tested offline against what it meets in
production. See ``docs/testing.md``.

Names are loaded when they are first used, because pytest imports this package in every
run, for its plugin.

Public submodules
-----------------
- `cassette`: record the answers of a real server, and replay them.
- `tracking`: the tracking pipeline as models of this server.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from mock_server.core.received import ReceivedRequest
    from mock_server.errors import ModelError, ModelLoadError
    from mock_server.faults.kinds import Arrival, FaultHook
    from mock_server.faults.plan import FaultPlan
    from mock_server.model.batching import (
        Control,
        ControlInput,
        DynamicBatching,
        QueuePolicy,
        SequenceBatching,
        TimeoutAction,
    )
    from mock_server.model.config import model_of_text
    from mock_server.model.declaration import (
        Ensemble,
        Model,
        ModelFunction,
        Step,
        TensorSpec,
    )
    from mock_server.profiles import Profile, profile_of
    from mock_server.server import MockServer, MockTriton

_MODULE_OF = {
    "Arrival": "faults.kinds",
    "Control": "model.batching",
    "ControlInput": "model.batching",
    "DynamicBatching": "model.batching",
    "Ensemble": "model.declaration",
    "FaultHook": "faults.kinds",
    "FaultPlan": "faults.plan",
    "MockServer": "server",
    "MockTriton": "server",
    "Model": "model.declaration",
    "ModelError": "errors",
    "ModelFunction": "model.declaration",
    "ModelLoadError": "errors",
    "Profile": "profiles",
    "QueuePolicy": "model.batching",
    "ReceivedRequest": "core.received",
    "SequenceBatching": "model.batching",
    "Step": "model.declaration",
    "TensorSpec": "model.declaration",
    "TimeoutAction": "model.batching",
    "model_of_text": "model.config",
    "profile_of": "profiles",
}

__all__ = [
    "Arrival",
    "Control",
    "ControlInput",
    "DynamicBatching",
    "Ensemble",
    "FaultHook",
    "FaultPlan",
    "MockServer",
    "MockTriton",
    "Model",
    "ModelError",
    "ModelFunction",
    "ModelLoadError",
    "Profile",
    "QueuePolicy",
    "ReceivedRequest",
    "SequenceBatching",
    "Step",
    "TensorSpec",
    "TimeoutAction",
    "model_of_text",
    "profile_of",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
