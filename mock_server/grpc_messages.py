"""Protobuf messages of KServe v2 to and from what the rest of the server speaks."""

from collections.abc import Iterable

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2

from mock_server.codec import DATATYPES, RawTensor, encode_wrapped, pack_strings
from mock_server.errors import ModelError
from mock_server.models import Model, TensorSpec
from mock_server.statistics import Duration, ModelStatistics
from mock_server.validation import invalid, invalid_request

_CONFIG_TYPES = {name: f"TYPE_{name}" for name in DATATYPES} | {"BYTES": "TYPE_STRING"}
# Field of typed contents -> its own datatype, and the narrower ones it also carries.
_CONTENT_FIELDS = {
    "bool_contents": ("BOOL", ()),
    "int_contents": ("INT32", ("INT8", "INT16")),
    "int64_contents": ("INT64", ()),
    "uint_contents": ("UINT32", ("UINT8", "UINT16")),
    "uint64_contents": ("UINT64", ()),
    "fp32_contents": ("FP32", ()),
    "fp64_contents": ("FP64", ()),
    "bytes_contents": ("BYTES", ()),
}
_UNSERVED_PARAMETERS = ("shared_memory_region", "classification")


def input_tensors(request: service_pb2.ModelInferRequest) -> list[RawTensor]:
    """Read the inputs of a request, typed contents turned into wire form.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT if data is missing, doubled or of another type than said;
        UNIMPLEMENTED if a tensor lies in shared memory.
    """
    tensors: list[RawTensor] = []
    raw = list(request.raw_input_contents)
    seen = set()
    for each in request.inputs:
        if each.name in seen:
            raise invalid_request(
                request.id, f"input '{each.name}' already exists in request"
            )
        seen.add(each.name)
    for index, each in enumerate(request.inputs):
        _refuse_unserved(each, "input")
        of_model = f"'{each.name}' for model '{request.model_name}'"
        if raw and each.HasField("contents"):
            raise invalid(
                "contents field must not be specified when using raw_input_contents "
                f"for {of_model}"
            )
        if index < len(raw):
            data = raw[index]
        elif each.HasField("contents"):
            data = _typed_data(each, of_model)
        else:
            raise invalid(
                f"unable to find data for input tensor {of_model} in request."
            )
        tensors.append(RawTensor(each.name, each.datatype, tuple(each.shape), data))
    return tensors


def _typed_data(
    tensor: service_pb2.ModelInferRequest.InferInputTensor, of_model: str
) -> bytes:
    for field, (own, narrower) in _CONTENT_FIELDS.items():
        values = getattr(tensor.contents, field)
        if not values:
            continue
        if tensor.datatype != own and tensor.datatype not in narrower:
            expected = tensor.datatype if tensor.datatype in DATATYPES else "<invalid>"
            raise invalid(
                f"unexpected explicit tensor data for input tensor {of_model} of type "
                f"'{own}', expected datatype '{expected}'"
            )
        if own == "BYTES":
            return pack_strings(values)
        return encode_wrapped(values, tensor.datatype)
    return b""


def requested_outputs(request: service_pb2.ModelInferRequest) -> list[str]:
    """Names of the outputs a client asks for; none means all of them.

    Raises
    ------
    ModelError
        UNIMPLEMENTED if one is asked for in shared memory or as classification.
    """
    for each in request.outputs:
        _refuse_unserved(each, "output")
    return [each.name for each in request.outputs]


def _refuse_unserved(
    tensor: service_pb2.ModelInferRequest.InferInputTensor
    | service_pb2.ModelInferRequest.InferRequestedOutputTensor,
    kind: str,
) -> None:
    for key in _UNSERVED_PARAMETERS:
        if key in tensor.parameters:
            raise ModelError(
                grpc.StatusCode.UNIMPLEMENTED,
                f"parameter '{key}' of {kind} '{tensor.name}' is not supported by the "
                "mock server",
            )


def infer_response(
    model: Model, request_id: str, outputs: Iterable[RawTensor]
) -> service_pb2.ModelInferResponse:
    """Answer to an inference request; the data is always raw."""
    response = service_pb2.ModelInferResponse(
        model_name=model.name, model_version=model.version, id=request_id
    )
    for name, datatype, shape, data in outputs:
        response.outputs.add(name=name, datatype=datatype, shape=shape)
        response.raw_output_contents.append(data)
    return response


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
