"""Served models for Triton's Python backend: every ``model.py`` imports this module.

``triton_python_backend_utils`` exists only inside a Triton server, and inside the
in-process one.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exatrkx_pipeline.serving.catalogue import ModelSettings, build, warm_up
from exatrkx_pipeline.serving.models import ServedModel
from exatrkx_pipeline.stages import StageClock

STAGE_METRIC = "exatrkx_stage_duration_seconds"


def python_model(name: str) -> type[PythonModel]:
    """Return the class that Triton looks for in ``model.py``, for a served model.

    Examples
    --------
    >>> TritonPythonModel = python_model("exatrkx")
    """
    return type("TritonPythonModel", (PythonModel,), {"served_name": name})


class PythonModel:
    """Answer requests one by one; an event's labels never depend on other events."""

    served_name: str

    # Any: the backend's own types, which nothing declares.
    def initialize(self, args: dict[str, Any]) -> None:
        """Build the model from its configuration's parameters, and run it once.

        Raises
        ------
        WeightsError, PipelineConfigError
            If a parameter is missing or wrong; Triton shows the message.
        """
        backend = importlib.import_module("triton_python_backend_utils")
        self._backend: Any = backend
        parameters = json.loads(args["model_config"]).get("parameters", {})
        self._clock = StageClock()
        self._served: ServedModel = build(
            self.served_name,
            ModelSettings(
                parameters={
                    key: value["string_value"] for key, value in parameters.items()
                },
                folder=Path(args["model_repository"]) / args["model_version"],
                device=device_of(args),
                clock=self._clock,
            ),
        )
        warm_up(self._served)
        self._stages = _StageMetrics(backend, args["model_name"], self._clock)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Return one response per request, in the order of the requests."""
        responses = [self._answer(request) for request in requests]
        self._stages.report()
        return responses

    def _answer(self, request: Any) -> Any:
        backend = self._backend
        inputs = {
            name: backend.get_input_tensor_by_name(request, name).as_numpy()
            for name, _, _ in self._served.inputs
        }
        try:
            outputs = self._served.function(inputs)
        except ValueError as error:  # the caller's tensors, not our defect
            refusal = backend.TritonError(str(error), backend.TritonError.INVALID_ARG)
            return backend.InferenceResponse(error=refusal)
        return backend.InferenceResponse(
            [backend.Tensor(name, array) for name, array in outputs.items()]
        )


def device_of(args: dict[str, Any]) -> str:
    """Return the device of an instance of this kind, as torch names it."""
    if args.get("model_instance_kind") == "GPU":
        return f"cuda:{args['model_instance_device_id']}"
    return "cpu"


class _StageMetrics:
    """Time per stage of the pipeline, as a metric of the server for Prometheus.

    A stage appears when this model first spends time in it.
    """

    # Any: the backend's own types.
    def __init__(self, backend: Any, model: str, clock: StageClock) -> None:
        self._model, self._clock = model, clock
        self._reported = dict(clock.seconds)
        self._counters: dict[str, Any] = {}
        self._family: Any = None
        if hasattr(backend, "MetricFamily"):  # Triton 23.05 and later
            self._family = backend.MetricFamily(
                name=STAGE_METRIC,
                description="Cumulative time in each stage of the pipeline",
                kind=backend.MetricFamily.COUNTER,
            )

    def report(self) -> None:
        """Add the time that has passed in each stage since the last call."""
        if self._family is None:
            return
        for stage, now in self._clock.seconds.items():
            gain = now - self._reported[stage]
            if gain > 0.0:
                self._counter(stage).increment(gain)
                self._reported[stage] = now

    def _counter(self, stage: str) -> Any:
        if stage not in self._counters:
            labels = {"model": self._model, "stage": stage}
            self._counters[stage] = self._family.Metric(labels=labels)
        return self._counters[stage]
