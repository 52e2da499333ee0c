"""Weights of a network as `row_kernels` reads them, packed anew when they change.

A layer's block holds its weights in panels of 16 columns (input by input, 16 outputs
side by side), then bias, gain and shift of its norm, then eps of the norm and one over
its width. Widths are filled up to whole panels with zeros, which stay zeros through
norm and activation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

LANES = 16
"""As in `vectors`, which loads the compiler."""

KINDS: dict[type[nn.Module] | None, int] = {None: 0, nn.ReLU: 1, nn.SiLU: 2, nn.Tanh: 3}
"""Numbers of the activations in a plan, as in `row_kernels`."""

Floats = NDArray[np.float32]
Packed = TypeVar("Packed")
Group = tuple[nn.Linear, nn.LayerNorm | None, nn.Module | None]
"""A linear layer with what follows it."""


def whole_panels(width: int) -> int:
    """The width filled up to a multiple of 16."""
    return -(-width // LANES) * LANES


@dataclass(slots=True)
class LayerPacker:
    """Collects layers; their numbers count from 0."""

    plan: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    blocks: list[Floats] = field(default_factory=list)
    size: int = 0

    def add(
        self,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None = None,
        *,
        norm: nn.LayerNorm | None = None,
        activation: nn.Module | None = None,
        gain: NDArray[np.float64] | None = None,
    ) -> None:
        """A layer of weights (n_out, n_in); with a norm, they come `centred`.

        `gain` takes the place of a norm's where there is none.
        """
        n_out, n_in = weight.shape
        width = whole_panels(n_out)
        columns = np.zeros((n_in, width))
        columns[:, :n_out] = weight.T
        tail = np.zeros((3, width))
        if bias is not None:
            tail[0, :n_out] = bias
        if gain is not None:
            tail[1, :n_out] = gain
        eps = 0.0
        if norm is not None:
            tail[1, :n_out], tail[2, :n_out] = doubles(norm.weight), doubles(norm.bias)
            eps = norm.eps
        panels = columns.reshape(n_in, width // LANES, LANES).transpose(1, 0, 2)
        block = np.concatenate((panels.ravel(), tail.ravel(), (eps, 1.0 / n_out)))
        kind = KINDS[type(activation) if activation is not None else None]
        self.plan.append((n_in, width // LANES, self.size, int(norm is not None), kind))
        # Each block begins a cache line.
        self.blocks.append(np.zeros(whole_panels(len(block)), np.float32))
        self.blocks[-1][: len(block)] = block
        self.size += len(self.blocks[-1])

    def add_groups(self, groups: Iterable[Group]) -> None:
        """Layers one after the other."""
        for linear, norm, activation in groups:
            weight, bias = doubles(linear.weight), bias_of(linear)
            if norm is not None:
                weight, bias = centred(weight), centred(bias)
            self.add(weight, bias, norm=norm, activation=activation)

    def arrays(self) -> tuple[NDArray[np.int64], Floats]:
        """The plan, shape (n_layers, 5), and all blocks, from a cache line on."""
        weights = aligned(self.size)
        weights[:] = np.concatenate(self.blocks)
        return np.array(self.plan, np.int64), weights


def groups_of(layers: Iterable[nn.Module]) -> Iterator[Group]:
    """Linear layers, each with the norm and the activation that follow it."""
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


def doubles(tensor: Tensor) -> NDArray[np.float64]:
    """A copy, in which sums of weights lose nothing."""
    copy: NDArray[np.float64] = tensor.detach().double().numpy()
    return copy


def bias_of(linear: nn.Linear) -> NDArray[np.float64]:
    """Shape (n_out,); zeros for a layer without."""
    if linear.bias is None:
        return np.zeros(linear.out_features)
    return doubles(linear.bias)


def centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the mean over outputs, the first axis.

    A layer norm takes the mean of a layer's outputs away, which is linear in them: a
    layer of centred weights and bias has outputs whose mean is 0 already.
    """
    difference: NDArray[np.float64] = values - values.mean(axis=0)
    return difference


def aligned(size: int) -> Floats:
    """Floats from the beginning of a cache line on, not set to any value."""
    whole = np.empty(size + LANES, np.float32)
    first = -(whole.ctypes.data // whole.itemsize) % LANES
    return whole[first : first + size]


_Version = tuple[tuple[int, int], ...]
_KEPT: WeakKeyDictionary[nn.Module, tuple[_Version, object]] = WeakKeyDictionary()
_OWNERS: WeakKeyDictionary[nn.Module, Sequence[Mapping[str, Tensor | None]]] = (
    WeakKeyDictionary()
)


def packed(network: nn.Module, pack: Callable[[], Packed]) -> Packed:
    """What `pack` makes of the network's weights, anew only when these have changed.

    A change is another memory or an operation in place, which torch counts; one through
    ``parameter.data`` goes unseen.
    """
    version = _version(network)
    kept = _KEPT.get(network)
    if kept is not None and kept[0] == version:
        value: Packed = kept[1]  # type: ignore[assignment] # as `pack` made it
        return value
    value = pack()
    _KEPT[network] = version, value
    return value


def _version(network: nn.Module) -> _Version:
    owners = _OWNERS.get(network)
    if owners is None:
        owners = [module._parameters for module in network.modules()]
        _OWNERS[network] = owners
    return tuple(
        # Tensors made in inference mode have no count.
        (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        for owner in owners
        for tensor in owner.values()
        if tensor is not None
    )
