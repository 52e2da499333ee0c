"""A Triton Inference Server in this process, for any Python callable.

It speaks KServe v2 over gRPC and HTTP on loopback, with Triton's codes, texts and
counters, so that a client can be tested offline against what it meets in production.

Names are loaded when they are first used: pytest imports this package in every run,
for its plugin.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from mock_server.errors import ModelError, ModelLoadError
    from mock_server.faults import Arrival, FaultHook, FaultPlan
    from mock_server.mock_triton import MockTriton
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
    from mock_server.received import ReceivedRequest
    from mock_server.server import MockServer

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
    "QueuePolicy",
    "ReceivedRequest",
    "SequenceBatching",
    "Step",
    "TensorSpec",
    "TimeoutAction",
    "model_of_text",
]

_HOMES = {
    "errors": ("ModelError", "ModelLoadError"),
    "faults": ("Arrival", "FaultHook", "FaultPlan"),
    "mock_triton": ("MockTriton",),
    "model.config": ("model_of_text",),
    "model.declaration": ("Ensemble", "Model", "ModelFunction", "Step", "TensorSpec"),
    "received": ("ReceivedRequest",),
    "model.batching": (
        "Control",
        "ControlInput",
        "DynamicBatching",
        "QueuePolicy",
        "SequenceBatching",
        "TimeoutAction",
    ),
    "server": ("MockServer",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _importlib.import_module(f"{__name__}.{_HOME_OF[name]}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
