"""Inference as a step of a dask-awkward graph; built without requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import awkward as ak

from producers.adapters.awkward import is_by_event, types_of_outputs
from producers.model.results import FailurePolicy
from producers.model.types import Untyped
from sonic_client import ModelMetadata

__all__ = ["PartitionInference", "infer_in_graph", "is_dask_awkward"]


class PartitionInference(Protocol):
    """The call that a worker makes for each partition; must be picklable."""

    on_failure: FailurePolicy

    @property
    def metadata(self) -> ModelMetadata:
        """The model's tensors."""

    def infer(
        self, outputs: list[str], inputs: Mapping[str, Untyped]
    ) -> dict[str, Untyped]:
        """Return the outputs for the arrays of a partition."""


def is_dask_awkward(array: Untyped) -> bool:
    """Whether an array is a dask-awkward one, without importing dask."""
    return any(
        base.__module__.startswith("dask_awkward.") and base.__name__ == "Array"
        for base in type(array).__mro__
    )


def infer_in_graph(
    inference: PartitionInference, outputs: list[str], inputs: Mapping[str, Untyped]
) -> dict[str, Untyped]:
    """Return dask-awkward arrays of the outputs; nothing is computed yet.

    Types come from the model's metadata, not from a trial with invented values.

    Raises
    ------
    ConfigError
        If the arrays do not fit the model.
    """
    import dask_awkward.lib.core as dask_awkward  # noqa: PLC0415 - an extra

    step = _Step(inference, tuple(outputs), tuple(inputs))
    arrays = list(inputs.values())
    found = dask_awkward.map_partitions(
        step,
        *arrays,
        label=f"triton-{inference.metadata.name}",
        meta=step.types(*(array._meta for array in arrays)),
    )
    return {name: found[name] for name in outputs}


@dataclass(frozen=True, slots=True)
class _Step:
    inference: PartitionInference
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]

    def __call__(self, *arrays: Untyped) -> Untyped:
        # dask-awkward runs the graph without values to find the columns it needs.
        if any(ak.backend(array) == "typetracer" for array in arrays):
            for array in arrays:
                ak.typetracer.touch_data(array)
            return self.types(*arrays)
        named = dict(zip(self.inputs, arrays, strict=True))
        return ak.zip(self.inference.infer(list(self.outputs), named), depth_limit=1)

    def types(self, *arrays: Untyped) -> Untyped:
        """Return an array of the type of the answers, without values or length."""
        named = dict(zip(self.inputs, arrays, strict=True))
        metadata = self.inference.metadata
        types = types_of_outputs(
            metadata,
            by_event=is_by_event(named, metadata),
            on_failure=self.inference.on_failure,
        )
        record = ak.zip({name: types[name] for name in self.outputs}, depth_limit=1)
        return ak.Array(record.layout.to_typetracer(forget_length=True))
