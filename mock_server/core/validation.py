"""Checks that a request is one the model can run, with Triton's messages.

Order of the checks: Triton Inference Server 2.51, ``InferenceRequest::Normalize`` in
``core``. Several mistakes are reported in the order of the request's inputs; Triton
takes them in the order of a hash map.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from typing import NoReturn

from mock_server.errors import invalid, invalid_request
from mock_server.model.declaration import FREE, Model, TensorSpec, dims_text
from mock_server.wire.codec import DATATYPES, ELEMENT_BYTES, RawTensor
from mock_server.wire.inference import InferenceRequest


def check_request(model: Model, request: InferenceRequest) -> int:
    """Return the batch size of a request that the model can run; 1 without batching.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT with the first mistake.
    """
    for output in request.outputs:
        if not any(output.name == spec.name for spec in model.outputs):
            raise invalid(
                f"unexpected inference output '{output.name}' for model '{model.name}'"
            )
    checks = _Checks(model, request.id)
    checks.input_count(request.inputs)
    batch_size = checks.batch_size(request.inputs) if model.max_batch_size > 0 else 1
    specs = {spec.name: spec for spec in model.inputs}
    for tensor in request.inputs:
        if tensor.name not in specs:
            raise invalid(
                f"unexpected inference input '{tensor.name}' for model '{model.name}'"
            )
        checks.tensor(tensor, specs[tensor.name])
    if batch_size < 1:
        checks.fail(
            f"inference request batch-size must be >= 1 for '{model.name}', got "
            f"{batch_size}"
        )
    return batch_size


class _Checks:
    def __init__(self, model: Model, request_id: str) -> None:
        self._model = model
        self._request_id = request_id

    def fail(self, text: str) -> NoReturn:
        """Refuse the request, by its id."""
        raise invalid_request(self._request_id, text)

    def input_count(self, inputs: Sequence[RawTensor]) -> None:
        required = [spec.name for spec in self._model.inputs if not spec.is_optional]
        most = len(self._model.inputs)
        if len(required) <= len(inputs) <= most:
            return
        given = [tensor.name for tensor in inputs]
        missing = [name for name in required if name not in given]
        expected = (
            f"{most} inputs"
            if len(required) == most
            else f"number of inputs between {len(required)} and {most}"
        )
        self.fail(
            f"expected {expected} but got {len(inputs)} inputs for model "
            f"'{self._model.name}'. Got input(s) {_names(given)}, but missing required "
            f"input(s) {_names(missing)}. Please provide all required input(s)."
        )

    def batch_size(self, inputs: Sequence[RawTensor]) -> int:
        sizes = []
        for tensor in inputs:
            if not tensor.shape:
                self.fail(
                    f"input '{tensor.name}' has no shape but model requires batch "
                    f"dimension for '{self._model.name}'"
                )
            sizes.append(tensor.shape[0])
            if sizes[-1] != sizes[0]:
                self.fail(
                    f"input '{tensor.name}' batch size does not match other inputs "
                    f"for '{self._model.name}'"
                )
        size = sizes[0] if sizes else 1
        if size > self._model.max_batch_size:
            self.fail(
                "inference request batch-size must be <= "
                f"{self._model.max_batch_size} for '{self._model.name}'"
            )
        return size

    def tensor(self, tensor: RawTensor, spec: TensorSpec) -> None:
        if tensor.datatype != spec.datatype:
            got = tensor.datatype if tensor.datatype in DATATYPES else "<invalid>"
            self.fail(
                f"inference input '{spec.name}' data-type is '{got}', but model "
                f"'{self._model.name}' expects '{spec.datatype}'"
            )
        self._shape(tensor, spec)
        if spec.datatype == "BYTES":
            self._strings(tensor)
            return
        shape = tensor.shape
        if self._model.max_batch_size > 0:
            shape = (max(shape[0], 1), *shape[1:])  # Triton takes a batch of 0 for 1
        # Exact: of a count in 64 bits, which wraps, a few bytes could be all there is.
        expected = math.prod(shape) * ELEMENT_BYTES[tensor.datatype]
        if len(tensor.data) != expected:
            self.fail(
                f"input byte size mismatch for input '{spec.name}' for model "
                f"'{self._model.name}'. Expected {expected}, got {len(tensor.data)}"
            )

    def _shape(self, tensor: RawTensor, spec: TensorSpec) -> None:
        is_batched = self._model.max_batch_size > 0
        if FREE in tensor.shape[is_batched:]:
            self._fail_as_unspecified(tensor)
        expected = self._model.wire_shape(spec)
        fits = len(tensor.shape) == len(expected) and all(
            want in (FREE, got)
            for want, got in zip(expected, tensor.shape, strict=True)
        )
        if not fits:
            note = (
                " NOTE: a non-zero max_batch_size requires a batch dimension to be "
                "prepended to each input shape."
            )
            self.fail(
                f"unexpected shape for input '{spec.name}' for model "
                f"'{self._model.name}'. Expected {dims_text(expected)}, got "
                f"{dims_text(tensor.shape)}.{note if is_batched else ''}"
            )
        if any(dim < 0 for dim in tensor.shape[is_batched:]):
            self._fail_as_unspecified(tensor)

    def _fail_as_unspecified(self, tensor: RawTensor) -> NoReturn:
        self.fail(
            f"All input dimensions should be specified for input '{tensor.name}' "
            f"for model '{self._model.name}', got {dims_text(tensor.shape)}"
        )

    def _strings(self, tensor: RawTensor) -> None:
        of_input = f"for inference input '{tensor.name}'"
        of_model = f"{of_input} for model '{self._model.name}'"
        expected, found = math.prod(tensor.shape), 0
        position, length, size = 0, 0, len(tensor.data)
        while position < size:
            if size - position < 4:
                self.fail(
                    f"incomplete string length indicator {of_model}, expecting 4 bytes "
                    f"but only {size - position} bytes available"
                )
            if found == expected:
                self.fail(
                    f"unexpected number of string elements {found + 1} {of_model}, "
                    f"expecting {expected}"
                )
            (length,) = struct.unpack_from("<I", tensor.data, position)
            position += 4 + length
            found += 1
        if found != expected:
            self.fail(f"expected {expected} string elements {of_model}, got {found}")
        if position > size:
            raise invalid(
                f"incomplete string data {of_input}, expecting string of length "
                f"{length} but only {size - position + length} bytes available"
            )


def _names(names: Iterable[str]) -> str:
    return "[" + ",".join(f"'{name}'" for name in names) + "]"
