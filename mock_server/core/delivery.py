"""The outputs of an answer in the form in which the client asked for each."""

import grpc

from mock_server.classification import classify
from mock_server.errors import ModelError
from mock_server.model.declaration import Model
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import (
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
)
from mock_server.wire.shared_memory import SharedMemory


def deliver(
    response: InferenceResponse,
    request: InferenceRequest,
    model: Model,
    shared_memory: SharedMemory,
) -> InferenceResponse:
    """Put outputs into shared memory, or make classifications of them, where asked to.

    An output that does not fit into its place makes the whole answer an error.
    """
    if response.error is not None or not any(
        wanted.n_classes or wanted.shared_memory for wanted in request.outputs
    ):
        return response
    wanted = {output.name: output for output in reversed(request.outputs)}
    try:
        outputs = [
            _deliver(tensor, wanted[tensor.name], model, shared_memory)
            if tensor.name in wanted
            else tensor
            for tensor in response.outputs
        ]
    except ModelError as error:
        return InferenceResponse(
            model_name=response.model_name,
            model_version=response.model_version,
            id=response.id,
            error=error,
        )
    return response.with_outputs(outputs)


def _deliver(
    tensor: RawTensor,
    wanted: RequestedOutput,
    model: Model,
    shared_memory: SharedMemory,
) -> RawTensor:
    if wanted.n_classes:
        labels = next(
            (spec.labels for spec in model.outputs if spec.name == tensor.name), ()
        )
        has_rows = model.max_batch_size > 0
        return classify(tensor, wanted.n_classes, labels, has_rows=has_rows)
    place = wanted.shared_memory
    if place is None:
        return tensor
    if len(tensor.data) > place.byte_size:
        raise ModelError(
            grpc.StatusCode.INTERNAL,
            "shared memory size specified with the request for output "
            f"'{tensor.name}' ({place.byte_size} bytes) should be at least "
            f"{len(tensor.data)} bytes to hold the results",
        )
    shared_memory.write(place, tensor.data)
    return tensor._replace(data=b"")
