"""Tensors whose shape on the model's side is another than on the client's."""

from collections.abc import Iterable, Sequence

from mock_server.model.declaration import FREE, Model, TensorSpec
from mock_server.wire.codec import RawTensor


def reshaped_inputs(model: Model, inputs: Sequence[RawTensor]) -> tuple[RawTensor, ...]:
    """Inputs of a checked request, in the shapes that the model wants."""
    specs = {spec.name: spec for spec in model.inputs if spec.reshape is not None}
    if not specs:
        return tuple(inputs)
    return tuple(
        _to_model(tensor, specs[tensor.name], model) if tensor.name in specs else tensor
        for tensor in inputs
    )


def reshaped_outputs(model: Model, outputs: Iterable[RawTensor]) -> list[RawTensor]:
    """Outputs of a model, in the shapes that its clients know."""
    specs = {spec.name: spec for spec in model.outputs if spec.reshape is not None}
    return [
        _to_client(tensor, specs[tensor.name], model)
        if tensor.name in specs
        else tensor
        for tensor in outputs
    ]


def _to_model(tensor: RawTensor, spec: TensorSpec, model: Model) -> RawTensor:
    assert spec.reshape is not None
    return _with_shape(tensor, spec.shape, spec.reshape, model)


def _to_client(tensor: RawTensor, spec: TensorSpec, model: Model) -> RawTensor:
    assert spec.reshape is not None
    return _with_shape(tensor, spec.reshape, spec.shape, model)


def _with_shape(
    tensor: RawTensor, have: Sequence[int], want: Sequence[int], model: Model
) -> RawTensor:
    """Free dimensions are carried over in their order, the batch dimension first."""
    n_batch = 1 if model.max_batch_size > 0 else 0
    batch, rest = tensor.shape[:n_batch], tensor.shape[n_batch:]
    free = iter(
        [dim for dim, wanted in zip(rest, have, strict=False) if wanted == FREE]
    )
    shape = tuple(next(free, dim) if dim == FREE else dim for dim in want)
    return tensor._replace(shape=(*batch, *shape))
