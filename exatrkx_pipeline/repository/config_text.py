"""``config.pbtxt``: protobuf's text format, for the few messages we need.

By hand, since the pipeline depends on no protobuf; a test reads it back with Triton's
own schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from exatrkx_pipeline.repository.ensemble import EnsembleStep
from exatrkx_pipeline.repository.plan import ModelPlan
from exatrkx_pipeline.serving.served_model import TensorSpec

__all__ = ["config_text"]

HEADER = "# Written by `sonic repository`.\n"


def config_text(plan: ModelPlan) -> str:
    """The whole file."""
    lines = [
        f"name: {_quoted(plan.name)}",
        'platform: "ensemble"' if plan.steps else 'backend: "python"',
        "max_batch_size: 0",
        *(line for spec in plan.inputs for line in _tensor("input", spec)),
        *(line for spec in plan.outputs for line in _tensor("output", spec)),
    ]
    if plan.steps:
        lines += _message("ensemble_scheduling", _steps(plan.steps))
    else:
        kind = "KIND_GPU" if plan.device == "gpu" else "KIND_CPU"
        group = [f"count: {plan.instances}", f"kind: {kind}"]
        lines += _message("instance_group", group)
    for name, value in plan.parameters.items():
        entry = [f"key: {_quoted(name)}", f"value {{ string_value: {_quoted(value)} }}"]
        lines += _message("parameters", entry)
    return HEADER + "\n".join(lines) + "\n"


def _tensor(field: str, spec: TensorSpec) -> list[str]:
    name, datatype, shape = spec
    dims = ", ".join(map(str, shape))
    return _message(
        field,
        [f"name: {_quoted(name)}", f"data_type: TYPE_{datatype}", f"dims: [ {dims} ]"],
    )


def _steps(steps: Iterable[EnsembleStep]) -> list[str]:
    lines = []
    for step in steps:
        lines += _message(
            "step",
            [
                f"model_name: {_quoted(step.model)}",
                "model_version: -1",
                *_map("input_map", step.inputs),
                *_map("output_map", step.outputs),
            ],
        )
    return lines


def _map(field: str, entries: Mapping[str, str]) -> list[str]:
    return [
        f"{field} {{ key: {_quoted(key)} value: {_quoted(value)} }}"
        for key, value in entries.items()
    ]


def _message(field: str, lines: Iterable[str]) -> list[str]:
    return [f"{field} {{", *(f"  {line}" for line in lines), "}"]


def _quoted(text: str) -> str:
    return json.dumps(text)  # the same escapes, as long as it is ASCII
