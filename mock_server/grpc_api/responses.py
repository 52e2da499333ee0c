"""Inference responses as protobuf messages."""

from tritonclient.grpc import service_pb2

from mock_server.grpc_api.requests import CONTENT_FIELD_OF
from mock_server.wire.codec import decode
from mock_server.wire.inference import InferenceResponse, ParameterValue

FINAL_FLAG = "triton_final_response"


def infer_response(
    response: InferenceResponse, *, is_typed: bool = False
) -> service_pb2.ModelInferResponse:
    """Response to one request; the data is raw, as Triton's always is, or typed.

    Half precision has no typed form: an answer with such a tensor is raw.
    """
    is_typed &= all(each.datatype in CONTENT_FIELD_OF for each in response.outputs)
    message = service_pb2.ModelInferResponse(
        model_name=response.model_name,
        model_version=response.model_version,
        id=response.id,
    )
    for name, datatype, shape, data in response.outputs:
        tensor = message.outputs.add(name=name, datatype=datatype, shape=shape)
        if is_typed:
            values = getattr(tensor.contents, CONTENT_FIELD_OF[datatype])
            values.extend(decode(data, datatype, shape).ravel().tolist())
        else:
            message.raw_output_contents.append(data)
    for key, value in response.parameters.items():
        set_parameter(message.parameters[key], value)
    return message


def stream_response(
    response: InferenceResponse, *, is_final: bool | None
) -> service_pb2.ModelStreamInferResponse:
    """Response within a stream.

    Parameters
    ----------
    response : InferenceResponse
        An error goes into ``error_message``, with the request's id beside it.
    is_final : bool or None
        Whether it is the request's last one; None leaves the flag out, as Triton does
        for a request that was refused before it was scheduled.
    """
    if response.error is None:
        message = service_pb2.ModelStreamInferResponse(
            infer_response=infer_response(response)
        )
    else:
        message = service_pb2.ModelStreamInferResponse(
            error_message=response.error.message,
            infer_response=service_pb2.ModelInferResponse(
                model_name=response.model_name, id=response.id
            ),
        )
    if is_final is not None:
        message.infer_response.parameters[FINAL_FLAG].bool_param = is_final
    return message


def end_of_stream(
    model_name: str, request_id: str
) -> service_pb2.ModelStreamInferResponse:
    """Empty message that ends the responses to a request."""
    end = InferenceResponse(model_name=model_name, model_version="", id=request_id)
    return stream_response(end, is_final=True)


def set_parameter(parameter: service_pb2.InferParameter, value: ParameterValue) -> None:
    """Set the field of a parameter that holds values of this type."""
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    elif isinstance(value, float):
        parameter.double_param = value
    else:
        parameter.string_param = value
