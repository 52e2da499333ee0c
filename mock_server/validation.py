"""Is a request one the model can run? If not, Triton's own words say why.

Order and texts of the checks: Triton Inference Server 2.51, ``InferenceRequest::
Normalize`` in ``core``, and answers of a running server. Both protocols share them.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NoReturn

from mock_server.errors import invalid, invalid_request
from mock_server.input_order import hashed_order
from mock_server.model.declaration import FREE, Model, TensorSpec, dims_text
from mock_server.wire.codec import DATATYPES, ELEMENT_BYTES, RawTensor, element_count
from mock_server.wire.inference import InferenceRequest

_BATCH_NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch "
    "dimension to be prepended to each input shape. If you want to specify the full "
    "shape including the batch dim in your input dims config, try setting "
    "max_batch_size to zero. See the model configuration docs for more info on "
    "max_batch_size."
)


def check_request(model: Model, request: InferenceRequest) -> int:
    """Batch size of a request that the model can run; 1 where there is no batching.

    Raises
    ------
    ModelError
        INVALID_ARGUMENT with the first thing found wrong.
    """
    inputs = request.inputs
    if request.outputs:
        known_outputs = {spec.name for spec in model.outputs}
        for output in request.outputs:
            if output.name not in known_outputs:
                raise invalid(
                    f"unexpected inference output '{output.name}' for model "
                    f"'{model.name}'"
                )
    checks = _Checks(model, request.id)
    if len(inputs) > 1:
        order = hashed_order(tensor.name for tensor in inputs)
        by_name = {tensor.name: tensor for tensor in inputs}
        inputs = tuple(by_name[name] for name in order)
    checks.input_count(inputs)
    batch_size = checks.batch_size(inputs) if model.max_batch_size > 0 else 1
    specs = {spec.name: spec for spec in model.inputs}
    for tensor in inputs:
        if tensor.name not in specs:
            raise invalid(
                f"unexpected inference input '{tensor.name}' for model '{model.name}'"
            )
        checks.tensor(tensor, specs[tensor.name])
    return batch_size


class _Checks:
    def __init__(self, model: Model, request_id: str) -> None:
        self._model = model
        self._request_id = request_id

    def _fail(self, text: str) -> NoReturn:
        raise invalid_request(self._request_id, text)

    def input_count(self, inputs: Sequence[RawTensor]) -> None:
        most = len(self._model.inputs)
        least = len([spec for spec in self._model.inputs if not spec.is_optional])
        if least <= len(inputs) <= most:
            return
        given = [tensor.name for tensor in inputs]
        missing = [
            spec.name
            for spec in self._model.inputs
            if not spec.is_optional and spec.name not in given
        ]
        # Triton drops the last character of the list, which is the bracket if the list
        # is empty.
        missing_text = _names(missing) if missing else "]"
        if least == most:
            expected = f"{most} inputs"
        else:
            expected = f"number of inputs between {least} and {most}"
        self._fail(
            f"expected {expected} but got {len(inputs)} inputs for model "
            f"'{self._model.name}'. Got input(s) {_names(given)}, but missing required "
            f"input(s) {missing_text}. Please provide all required input(s)."
        )

    def batch_size(self, inputs: Sequence[RawTensor]) -> int:
        sizes = [1] if not inputs else []
        for tensor in inputs:
            if not tensor.shape:
                self._fail(
                    f"input '{tensor.name}' has no shape but model requires batch "
                    f"dimension for '{self._model.name}'"
                )
            sizes.append(tensor.shape[0])
            if sizes[-1] != sizes[0]:
                self._fail(
                    f"input '{tensor.name}' batch size does not match other inputs "
                    f"for '{self._model.name}'"
                )
        if sizes[0] > self._model.max_batch_size:
            self._fail(
                "inference request batch-size must be <= "
                f"{self._model.max_batch_size} for '{self._model.name}'"
            )
        return sizes[0]

    def tensor(self, tensor: RawTensor, spec: TensorSpec) -> None:
        if tensor.datatype != spec.datatype:
            got = tensor.datatype if tensor.datatype in DATATYPES else "<invalid>"
            self._fail(
                f"inference input '{spec.name}' data-type is '{got}', but model "
                f"'{self._model.name}' expects '{spec.datatype}'"
            )
        self._shape(tensor, spec)
        if spec.datatype == "BYTES":
            self._strings(tensor)
            return
        expected = self._expected_bytes(tensor)
        if len(tensor.data) != expected:
            self._fail(
                f"input byte size mismatch for input '{spec.name}' for model "
                f"'{self._model.name}'. Expected {expected}, got {len(tensor.data)}"
            )

    def _expected_bytes(self, tensor: RawTensor) -> int:
        """Size of the data, counted as Triton does: in 64 bits, a batch of 0 as 1."""
        shape = tensor.shape
        if self._model.max_batch_size > 0 and shape[0] <= 0:
            shape = (shape[0] % 2**32 or 1, *shape[1:])
        size = element_count(shape) * ELEMENT_BYTES[tensor.datatype]
        return (size + 2**63) % 2**64 - 2**63

    def _shape(self, tensor: RawTensor, spec: TensorSpec) -> None:
        has_rows = self._model.max_batch_size > 0
        if FREE in tensor.shape[has_rows:]:
            self._fail(
                f"All input dimensions should be specified for input '{spec.name}' "
                f"for model '{self._model.name}', got {dims_text(tensor.shape)}"
            )
        expected = self._model.wire_shape(spec)
        fits = len(tensor.shape) == len(expected) and all(
            want in (FREE, got)
            for want, got in zip(expected, tensor.shape, strict=True)
        )
        if not fits:
            note = _BATCH_NOTE if self._model.max_batch_size > 0 else ""
            self._fail(
                f"unexpected shape for input '{spec.name}' for model "
                f"'{self._model.name}'. Expected {dims_text(expected)}, got "
                f"{dims_text(tensor.shape)}. {note}"
            )

    def _strings(self, tensor: RawTensor) -> None:
        of_input = f"for inference input '{tensor.name}'"
        of_model = f"{of_input} for model '{self._model.name}'"
        expected, found = element_count(tensor.shape), 0
        position, length, size = 0, 0, len(tensor.data)
        while position < size:
            if size - position < 4:
                self._fail(
                    f"incomplete string length indicator {of_model}, expecting 4 bytes "
                    f"but only {size - position} bytes available. Please make sure the "
                    "string length indicator is in one buffer."
                )
            if found == expected:
                self._fail(
                    f"unexpected number of string elements {found + 1} {of_model}, "
                    f"expecting {expected}"
                )
            (length,) = struct.unpack_from("<I", tensor.data, position)
            position += 4 + length
            found += 1
        if found != expected:
            self._fail(f"expected {expected} string elements {of_model}, got {found}")
        if position > size:
            raise invalid(
                f"incomplete string data {of_input}, expecting string of length "
                f"{length} but only {size - position + length} bytes available"
            )


def _names(names: Iterable[str]) -> str:
    return "[" + ",".join(f"'{name}'" for name in names) + "]"
