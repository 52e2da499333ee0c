"""A KServe server's answers about its models, as JSON values.

gRPC's messages are converted to the same values, so both wires are read alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sonic_client.transport.base import ServerCounters
from sonic_client.types import ModelMetadata, ModelState, TensorSpec

__all__ = ["Json", "model_metadata", "model_states", "server_counters"]

Json: TypeAlias = Any  # what a foreign server may answer


def model_states(index: Json) -> tuple[ModelState, ...]:
    """Read a repository index; a missing key is empty."""
    return tuple(
        ModelState(
            name=row["name"],
            version=row.get("version", ""),
            state=row.get("state", ""),
            reason=row.get("reason", ""),
        )
        for row in index
    )


def model_metadata(metadata: Json, config: Json, asked_version: str) -> ModelMetadata:
    """Read a model's metadata and configuration."""
    optional = {
        tensor["name"] for tensor in config["input"] if tensor.get("optional", False)
    }

    def specs(tensors: Json) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                tensor["name"],
                tensor["datatype"],
                tuple(map(int, tensor["shape"])),
                tensor["name"] in optional,
            )
            for tensor in tensors
        )

    return ModelMetadata(
        name=metadata["name"],
        version=asked_version or _latest(metadata.get("versions", [])),
        platform=metadata.get("platform", ""),
        inputs=specs(metadata["inputs"]),
        outputs=specs(metadata["outputs"]),
        max_batch_size=config.get("max_batch_size", 0),
        parameters={
            name: parameter["string_value"]
            for name, parameter in config.get("parameters", {}).items()
        },
    )


def _latest(versions: Sequence[str]) -> str:
    """Return the highest version; they are numbers without leading zeros."""
    return max(versions, key=lambda version: (len(version), version), default="")


def server_counters(statistics: Json) -> ServerCounters:
    """Read a model's statistics, summed over its versions."""
    versions = statistics["model_stats"]

    def total(part: str, key: str) -> int:
        counted = [version.get("inference_stats", {}) for version in versions]
        return sum(int(stats.get(part, {}).get(key, 0)) for stats in counted)

    def seconds(part: str) -> float:
        return total(part, "ns") * 1e-9

    return ServerCounters(
        requests=total("success", "count"),
        failed_requests=total("fail", "count"),
        inferences=sum(int(version["inference_count"]) for version in versions),
        executions=sum(int(version["execution_count"]) for version in versions),
        queue_s=seconds("queue"),
        compute_input_s=seconds("compute_input"),
        compute_infer_s=seconds("compute_infer"),
        compute_output_s=seconds("compute_output"),
    )
