"""Models and their counters, as protobuf messages."""

from collections.abc import Iterable

from tritonclient.grpc import model_config_pb2, service_pb2

from mock_server.codec import DATATYPES
from mock_server.models import Model, TensorSpec
from mock_server.statistics import Duration, ModelStatistics

_CONFIG_TYPES = {name: f"TYPE_{name}" for name in DATATYPES} | {"BYTES": "TYPE_STRING"}


def metadata_response(
    model: Model, versions: Iterable[str]
) -> service_pb2.ModelMetadataResponse:
    """Describe the tensors of a model."""
    tensor_metadata = service_pb2.ModelMetadataResponse.TensorMetadata

    def described(
        specs: Iterable[TensorSpec],
    ) -> list[service_pb2.ModelMetadataResponse.TensorMetadata]:
        return [
            tensor_metadata(
                name=spec.name, datatype=spec.datatype, shape=model.wire_shape(spec)
            )
            for spec in specs
        ]

    return service_pb2.ModelMetadataResponse(
        name=model.name,
        versions=versions,
        platform="python",
        inputs=described(model.inputs),
        outputs=described(model.outputs),
    )


def config_response(model: Model) -> service_pb2.ModelConfigResponse:
    """Describe a model by the fields that a python-backend model has set."""
    pinned = {"enable": True}
    config = model_config_pb2.ModelConfig(
        name=model.name,
        backend="python",
        max_batch_size=model.max_batch_size,
        version_policy={"latest": {"num_versions": 1}},
        input=[_config_tensor(spec) for spec in model.inputs],
        output=[_config_tensor(spec) for spec in model.outputs],
        instance_group=[
            {"name": f"{model.name}_0", "count": model.instances, "kind": "KIND_CPU"}
        ],
        optimization={"input_pinned_memory": pinned, "output_pinned_memory": pinned},
        default_model_filename="model.py",
        parameters={
            key: model_config_pb2.ModelParameter(string_value=value)
            for key, value in model.parameters.items()
        },
    )
    return service_pb2.ModelConfigResponse(config=config)


def _config_tensor(spec: TensorSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "data_type": _CONFIG_TYPES[spec.datatype],
        "dims": spec.shape,
    }


def statistics_message(
    model: Model, statistics: ModelStatistics
) -> service_pb2.ModelStatistics:
    """Counters of one version of a model."""

    def duration(value: Duration) -> service_pb2.StatisticDuration:
        return service_pb2.StatisticDuration(count=value.count, ns=value.ns)

    return service_pb2.ModelStatistics(
        name=model.name,
        version=model.version,
        last_inference=statistics.last_inference_ms,
        inference_count=statistics.inference_count,
        execution_count=statistics.execution_count,
        inference_stats=service_pb2.InferStatistics(
            success=duration(statistics.success),
            fail=duration(statistics.fail),
            queue=duration(statistics.queue),
            compute_input=duration(statistics.compute_input),
            compute_infer=duration(statistics.compute_infer),
            compute_output=duration(statistics.compute_output),
            cache_hit=duration(Duration()),
            cache_miss=duration(Duration()),
        ),
        batch_stats=[
            service_pb2.InferBatchStatistics(
                batch_size=batch_size,
                compute_input=duration(batch.compute_input),
                compute_infer=duration(batch.compute_infer),
                compute_output=duration(batch.compute_output),
            )
            for batch_size, batch in statistics.batches
        ],
    )
