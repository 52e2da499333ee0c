"""Layers of a network without gradients on the CPU, in blocks and by fused loops.

A matrix product hands its block on within the cache; what follows it until the next
one is a compiled loop. Results differ from torch's own in the last bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import pad

from exatrkx_pipeline import edge_blocks

if TYPE_CHECKING:
    from exatrkx_pipeline.fused_loops import RowLoops

Ends = tuple[Tensor, Tensor]
"""Row and column of each edge of a block, both of shape (n_edges,), int64."""

LOOPS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.SiLU: "silu", nn.Tanh: "tanh"}
"""Names of the activations' loops."""

LEAST_ROWS = 16
"""Matrix products of fewer rows sum in another order: they are filled up with zeros,
so that a row's result does not depend on how many there are."""


def is_fused(h: Tensor) -> bool:
    """Whether the functions below can take the place of torch's for this input."""
    return (
        h.device.type == "cpu"
        and h.dtype == torch.float32
        and not torch.is_grad_enabled()
    )


def loops_of(width: int) -> RowLoops:
    """The compiled loops, which are loaded only where they run."""
    from exatrkx_pipeline.fused_loops import row_loops  # noqa: PLC0415

    return row_loops(width)


def product(weight: Tensor, *inputs: Tensor) -> Tensor:
    """``cat(inputs) @ weight.T``, each row as if it were alone; shape (n, n_out)."""
    n = len(inputs[0])
    if n < LEAST_ROWS:
        inputs = tuple(pad(h, (0, 0, 0, LEAST_ROWS - n)) for h in inputs)
    first, *others = torch.split(weight, [h.shape[1] for h in inputs], dim=1)
    out = torch.mm(inputs[0], first.T)
    for h, part in zip(inputs[1:], others, strict=True):
        out.addmm_(h, part.T)
    return out[:n]


def apply_linear(layer: nn.Linear, h: Tensor) -> Tensor:
    """``layer(h)``, shape (n, n_out)."""
    return _through([(layer, None, None)], (h,))


def apply_readout(layer: nn.Linear, h: Tensor) -> Tensor:
    """``layer(h)`` of a layer with one output, shape (n,)."""
    out = h.new_empty(len(h))
    loops_of(h.shape[1]).dot(
        array(h), array(layer.weight)[0], np.float32(layer.bias.item()), array(out)
    )
    return out


def apply_layers(layers: Iterable[nn.Module], *inputs: Tensor) -> Tensor:
    """What `nn.Sequential` of these layers gives for the inputs side by side.

    Layers are linear ones, each followed by nothing, an activation, or norm and
    activation. Rows are computed in blocks; the inputs are never joined.
    """
    groups = list(_groups(layers))
    blocks = zip(*map(edge_blocks.edge_blocks, inputs), strict=True)
    done = [_through(groups, block) for block in blocks]
    return done[0] if len(done) == 1 else torch.cat(done)


def apply_norm(norm: nn.LayerNorm, h: Tensor, bias: Tensor | None = None) -> None:
    """Layer norm of ``h + bias``, in place."""
    width = h.shape[1]
    added = np.zeros(width, np.float32) if bias is None else array(bias)
    loops_of(width).norm(array(h), added, *_norm_arguments(norm))


def activate(activation: nn.Module, h: Tensor) -> None:
    """The activation, in place."""
    from exatrkx_pipeline import fused_loops  # noqa: PLC0415

    loop = getattr(fused_loops, LOOPS[type(activation)])
    loop(array(h))


def gather_add(h: Tensor, at_row: Tensor, at_col: Tensor, ends: Ends) -> None:
    """``h + at_row[row] + at_col[col]``, in place; `ends` are row and column."""
    row, col = map(array, ends)
    loops_of(h.shape[1]).gather_add(array(h), array(at_row), row, array(at_col), col)


def gather_norm(
    h: Tensor, at_row: Tensor, at_col: Tensor, ends: Ends, norm: nn.LayerNorm
) -> None:
    """``norm(h + at_row[row] + at_col[col])``, in place."""
    row, col = map(array, ends)
    loops_of(h.shape[1]).gather_norm(
        array(h), array(at_row), row, array(at_col), col, *_norm_arguments(norm)
    )


# Any: arrays of floats and of indices.
def array(tensor: Tensor) -> NDArray[Any]:
    """A view of the tensor's memory."""
    view: NDArray[Any] = tensor.detach().contiguous().numpy()
    return view


_Group = tuple[nn.Linear, nn.LayerNorm | None, nn.Module | None]


def _groups(layers: Iterable[nn.Module]) -> Iterator[_Group]:
    linear, norm, activation = None, None, None
    for layer in layers:
        if isinstance(layer, nn.Linear):
            if linear is not None:
                yield linear, norm, activation
            linear, norm, activation = layer, None, None
        elif isinstance(layer, nn.LayerNorm):
            norm = layer
        else:
            activation = layer
    if linear is not None:
        yield linear, norm, activation


def _through(groups: Iterable[_Group], inputs: tuple[Tensor, ...]) -> Tensor:
    for linear, norm, activation in groups:
        h = product(linear.weight, *inputs)
        if norm is not None:
            apply_norm(norm, h, linear.bias)
        elif linear.bias is not None:
            loops_of(h.shape[1]).add_bias(array(h), array(linear.bias))
        if activation is not None:
            activate(activation, h)
        inputs = (h,)
    return inputs[0]


def _norm_arguments(
    norm: nn.LayerNorm,
) -> tuple[NDArray[np.float32], NDArray[np.float32], np.float32]:
    return array(norm.weight), array(norm.bias), np.float32(norm.eps)
