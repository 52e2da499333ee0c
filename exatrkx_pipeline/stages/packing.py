"""Weights of torch's modules, as `kernels.layout` packs them.

Weights are taken in float64, so that sums of them lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from torch import Tensor, nn

from exatrkx_pipeline.kernels.layout import (
    LINEAR,
    RELU,
    SILU,
    TANH,
    Doubles,
    LayerPacker,
    Norm,
    Readout,
    whole_panels,
)

ACTIVATIONS: dict[type[nn.Module], int] = {
    nn.ReLU: RELU,
    nn.SiLU: SILU,
    nn.Tanh: TANH,
}

Group = tuple[nn.Linear, nn.LayerNorm | None, nn.Module | None]
"""A linear layer, and the norm and the activation that follow it."""


def groups_of(modules: Iterable[nn.Module]) -> Iterator[Group]:
    """Linear layers, each with the norm and the activation that follow it."""
    linear, norm, activation = None, None, None
    for module in modules:
        if isinstance(module, nn.Linear):
            if linear is not None:
                yield linear, norm, activation
            linear, norm, activation = module, None, None
        elif isinstance(module, nn.LayerNorm):
            norm = module
        else:
            activation = module
    if linear is not None:
        yield linear, norm, activation


def add_groups(
    packer: LayerPacker, groups: Iterable[Group], n_input: int | None = None
) -> None:
    """Pack layers that are applied one after the other.

    If the first one's inputs are several arrays side by side, each filled up to whole
    panels, `n_input` is the number of columns of each.
    """
    for linear, norm, activation in groups:
        weight, bias = doubles(linear.weight), bias_of(linear)
        if n_input is not None:
            weight, n_input = pad_inputs(weight, n_input), None
        if norm is not None:
            weight, bias = centred(weight), centred(bias)
        packer.add(
            weight,
            bias,
            norm=norm_of(norm),
            activation=activation_number(activation),
        )


def add_terms(
    packer: LayerPacker, terms: Sequence[tuple[Doubles, Doubles | None]]
) -> None:
    """Pack linear layers with the same inputs as one, each filled up to whole panels.

    Parameters
    ----------
    packer : LayerPacker
    terms : sequence of (weight, bias)
        Shapes (n_out, n_in) and (n_out,), or no bias.
    """
    weights, biases = [], []
    for weight, bias in terms:
        n_out = len(weight)
        n_filled = whole_panels(n_out) - n_out
        weights.append(np.pad(weight, ((0, n_filled), (0, 0))))
        biases.append(np.zeros(n_out + n_filled))
        if bias is not None:
            biases[-1][:n_out] = bias
    packer.add(np.concatenate(weights), np.concatenate(biases))


def pad_inputs(weight: Doubles, n_input: int) -> Doubles:
    """Weights for inputs side by side, each of `n_input` columns, in whole panels."""
    n_out = len(weight)
    each = weight.reshape(n_out, -1, n_input)
    n_filled = whole_panels(n_input) - n_input
    return np.pad(each, ((0, 0), (0, 0), (0, n_filled))).reshape(n_out, -1)


def packed_readout(weight: Doubles, bias: Doubles) -> Readout:
    """A linear layer with one output, weights of shape (1, n_in)."""
    weights = np.zeros(whole_panels(weight.shape[1]), np.float32)
    weights[: weight.shape[1]] = weight[0]
    return Readout(weights, np.float32(bias[0]))


def after_norm(
    weight: Doubles, bias: Doubles, norm: nn.LayerNorm
) -> tuple[Doubles, Doubles]:
    """A linear layer merged with the norm before it, but for dividing by the deviation.

    ``W (gain (h - mean) / deviation + shift) + b``: subtracting the mean of h is linear
    in h, so the mean can be subtracted from the rows of ``W gain`` instead.
    """
    scaled = weight * doubles(norm.weight)
    scaled -= scaled.mean(axis=1, keepdims=True)
    return scaled, weight @ doubles(norm.bias) + bias


def centred(values: Doubles) -> Doubles:
    """Without the mean over outputs, the first axis.

    A layer norm subtracts the mean of a layer's outputs, which is linear in them: a
    layer of centred weights and bias has outputs whose mean is 0 already.
    """
    difference: Doubles = values - values.mean(axis=0)
    return difference


def norm_of(norm: nn.Module | None) -> Norm | None:
    """Gain, shift and eps of a layer norm."""
    if norm is None:
        return None
    assert isinstance(norm, nn.LayerNorm)  # no network has another
    return Norm(doubles(norm.weight), doubles(norm.bias), norm.eps)


def activation_number(activation: nn.Module | None) -> int:
    """Number of an activation in a plan."""
    return LINEAR if activation is None else ACTIVATIONS[type(activation)]


def bias_of(linear: nn.Linear) -> Doubles:
    """Shape (n_out,); zeros for a layer without a bias."""
    if linear.bias is None:
        return np.zeros(linear.out_features)
    return doubles(linear.bias)


def doubles(tensor: Tensor) -> Doubles:
    """A copy in float64."""
    copy: Doubles = tensor.detach().double().numpy()
    return copy
