"""Answers to requests for inference, as protobuf messages."""

from tritonclient.grpc import service_pb2

from mock_server.wire.inference import InferenceResponse, ParameterValue

FINAL_FLAG = "triton_final_response"


def infer_response(response: InferenceResponse) -> service_pb2.ModelInferResponse:
    """Answer to one request; the data is always raw."""
    message = service_pb2.ModelInferResponse(
        model_name=response.model_name,
        model_version=response.model_version,
        id=response.id,
    )
    for name, datatype, shape, data in response.outputs:
        message.outputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_output_contents.append(data)
    for key, value in response.parameters.items():
        set_parameter(message.parameters[key], value)
    return message


def stream_response(
    response: InferenceResponse, *, is_final: bool | None
) -> service_pb2.ModelStreamInferResponse:
    """Answer within a stream.

    Parameters
    ----------
    response : InferenceResponse
        An error goes into ``error_message``, with the request's id beside it.
    is_final : bool or None
        Whether it is the request's last one; None: say nothing of it, as Triton does
        where a request was refused before it was scheduled.
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
    """Message that ends the answers to a request and holds none."""
    message = service_pb2.ModelStreamInferResponse(
        infer_response=service_pb2.ModelInferResponse(
            model_name=model_name, id=request_id
        )
    )
    message.infer_response.parameters[FINAL_FLAG].bool_param = True
    return message


def set_parameter(parameter: service_pb2.InferParameter, value: ParameterValue) -> None:
    """Set the one field of a parameter that holds values of this type."""
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    elif isinstance(value, float):
        parameter.double_param = value
    else:
        parameter.string_param = value
