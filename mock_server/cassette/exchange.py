"""A request with its answers, and by what it is found again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import grpc
import numpy as np

from mock_server.errors import ModelError
from mock_server.wire.codec import RawTensor, decode, encode
from mock_server.wire.inference import InferenceRequest, InferenceResponse

_FLOATS = ("FP16", "BF16", "FP32", "FP64")


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """One response: outputs, or the code and text of an error."""

    outputs: tuple[RawTensor, ...] = ()
    code: str = "OK"
    text: str = ""

    @classmethod
    def of(cls, response: InferenceResponse) -> RecordedResponse:
        """What of a response is kept."""
        if response.error is not None:
            return cls((), response.error.code.name, response.error.message)
        return cls(response.outputs)

    def response_to(
        self, request: InferenceRequest, model_version: str
    ) -> InferenceResponse:
        """The same, as the answer to a request."""
        error = None
        if self.code != "OK":
            error = ModelError(grpc.StatusCode[self.code], self.text)
        return InferenceResponse(
            model_name=request.model_name,
            model_version=model_version,
            id=request.id,
            outputs=self.outputs,
            error=error,
        )


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked of a model, and every response to it."""

    model_name: str
    key: str
    shapes: str
    """Of the inputs, as text, for those who look for a request that is not there."""

    responses: tuple[RecordedResponse, ...]


def rounded(tensor: RawTensor, decimals: int | None) -> RawTensor:
    """Tensor whose floats are rounded to so many decimals; None: as it is."""
    if decimals is None or tensor.datatype not in _FLOATS:
        return tensor
    try:
        array = decode(tensor.data, tensor.datatype, tensor.shape)
    except ValueError:  # its data does not fill its shape: nothing to round
        return tensor
    # Adding zero makes -0.0 the same as 0.0.
    data = encode(np.round(array, decimals) + array.dtype.type(0), tensor.datatype)
    return tensor._replace(data=data)


def key_of(request: InferenceRequest, decimals: int | None) -> str:
    """Digest of all that an answer may depend on; the request's id is not of it.

    The order of inputs does not count. Floats are rounded to `decimals` first, so that
    a difference in the last place does not make another request.
    """
    digest = hashlib.sha256()
    about = {
        "model": request.model_name,
        "outputs": sorted(output.name for output in request.outputs),
        "parameters": dict(request.parameters),
        "sequence": [
            request.correlation_id,
            request.sequence_start,
            request.sequence_end,
        ],
    }
    digest.update(json.dumps(about, sort_keys=True).encode())
    for tensor in sorted(request.inputs):
        name, datatype, shape, data = rounded(tensor, decimals)
        digest.update(json.dumps([name, datatype, shape, len(data)]).encode())
        digest.update(data)
    return digest.hexdigest()


def shapes_text(request: InferenceRequest) -> str:
    """Inputs as a person reads them: ``X FP32[3,3]``."""
    return ", ".join(
        f"{name} {datatype}[{','.join(map(str, shape))}]"
        for name, datatype, shape, _ in sorted(request.inputs)
    )
