"""Models and their counters as protobuf messages, which HTTP turns into JSON."""

from collections.abc import Iterable

from tritonclient.grpc import service_pb2

from mock_server.core.statistics import Duration, ModelStatistics
from mock_server.model.config import config_of
from mock_server.model.config_message import ENSEMBLE, PYTHON, is_ensemble
from mock_server.model.declaration import Model, TensorSpec


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
        platform=ENSEMBLE if is_ensemble(config_of(model)) else PYTHON,
        inputs=described(model.inputs),
        outputs=described(model.outputs),
    )


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
