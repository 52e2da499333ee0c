"""What a KServe server answers in protobuf about its models."""

from __future__ import annotations

from typing import Any

from sonic_client.transport.base import ServerCounters
from sonic_client.transport.versions import latest_version
from sonic_client.types import ModelMetadata, TensorSpec

__all__ = ["model_metadata", "server_counters"]


# Any, here and below: the generated message classes have no types.
def model_metadata(metadata: Any, config: Any, *, asked_version: str) -> ModelMetadata:
    """Read a model's metadata and configuration."""
    optional = {tensor.name for tensor in config.input if tensor.optional}
    return ModelMetadata(
        name=metadata.name,
        version=asked_version or latest_version(metadata.versions),
        platform=metadata.platform,
        inputs=tuple(
            TensorSpec(t.name, t.datatype, tuple(t.shape), t.name in optional)
            for t in metadata.inputs
        ),
        outputs=tuple(
            TensorSpec(t.name, t.datatype, tuple(t.shape)) for t in metadata.outputs
        ),
        max_batch_size=config.max_batch_size,
        parameters={
            name: parameter.string_value
            for name, parameter in config.parameters.items()
        },
    )


def server_counters(versions: Any) -> ServerCounters:
    """Read a model's statistics, summed over its versions."""

    def seconds(part: str) -> float:
        stats = (getattr(version.inference_stats, part) for version in versions)
        return float(sum(duration.ns for duration in stats)) * 1e-9

    return ServerCounters(
        requests=sum(v.inference_stats.success.count for v in versions),
        failed_requests=sum(v.inference_stats.fail.count for v in versions),
        inferences=sum(v.inference_count for v in versions),
        executions=sum(v.execution_count for v in versions),
        queue_s=seconds("queue"),
        compute_input_s=seconds("compute_input"),
        compute_infer_s=seconds("compute_infer"),
        compute_output_s=seconds("compute_output"),
    )
