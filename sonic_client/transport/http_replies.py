"""What a KServe server answers in JSON about its models."""

from __future__ import annotations

from typing import Any

from sonic_client.transport.base import ServerCounters
from sonic_client.transport.versions import latest_version
from sonic_client.types import ModelMetadata, ModelState, TensorSpec

__all__ = ["model_metadata", "model_states", "server_counters"]


# Any, here and below: JSON.
def model_states(index: Any) -> tuple[ModelState, ...]:
    """Read a repository index; a key that is left out is empty."""
    return tuple(
        ModelState(
            name=row["name"],
            version=row.get("version", ""),
            state=row.get("state", ""),
            reason=row.get("reason", ""),
        )
        for row in index
    )


def model_metadata(metadata: Any, config: Any, asked_version: str) -> ModelMetadata:
    """Read a model's metadata and configuration."""
    optional = {
        tensor["name"] for tensor in config["input"] if tensor.get("optional", False)
    }

    def specs(tensors: Any) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(t["name"], t["datatype"], (*t["shape"],), t["name"] in optional)
            for t in tensors
        )

    return ModelMetadata(
        name=metadata["name"],
        version=asked_version or latest_version(metadata.get("versions", [])),
        platform=metadata.get("platform", ""),
        inputs=specs(metadata["inputs"]),
        outputs=specs(metadata["outputs"]),
        max_batch_size=config.get("max_batch_size", 0),
        parameters={
            name: parameter["string_value"]
            for name, parameter in config.get("parameters", {}).items()
        },
    )


def server_counters(statistics: Any) -> ServerCounters:
    """Read a model's statistics, summed over its versions."""
    versions = statistics["model_stats"]

    def total(part: str, key: str) -> int:
        return sum(int(version["inference_stats"][part][key]) for version in versions)

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
