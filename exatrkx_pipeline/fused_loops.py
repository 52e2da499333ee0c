"""Compiled loops between the matrix products of a network: one pass over memory each.

Torch runs bias, gather, layer norm and activation as separate passes. For float32 on
the CPU, without gradients. Each loop keeps to one thread and releases the interpreter
lock. A row's result depends on that row alone, to the last bit.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import njit

# Sums may be split into vector lanes; NaN and infinity keep their meaning.
FAST_MATH = {"reassoc", "contract", "nsz", "arcp"}


# Any: numba gives its functions no types.
def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, kept on disk where numba finds a place for it."""
    try:
        return _machine_code(function, is_kept=True)
    except RuntimeError:  # neither the package's folder nor a home can be written to
        return _machine_code(function, is_kept=False)


def _machine_code(function: Callable[..., Any], *, is_kept: bool) -> Any:
    return njit(nogil=True, fastmath=FAST_MATH, error_model="numpy", cache=is_kept)(
        function
    )


@compiled
def _tanh_of(x):
    """Hyperbolic tangent as the rational function of Eigen, to 3e-7.

    From its ``MathFunctionsImpl.h``. Arithmetic alone, of which the compiler makes
    vectors; the library's is a call.
    """
    x = min(max(x, np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
    x2 = x * x
    p = np.float32(-2.76076847742355e-16)
    p = x2 * p + np.float32(2.00018790482477e-13)
    p = x2 * p + np.float32(-8.60467152213735e-11)
    p = x2 * p + np.float32(5.12229709037114e-08)
    p = x2 * p + np.float32(1.48572235717979e-05)
    p = x2 * p + np.float32(6.37261928875436e-04)
    p = x2 * p + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = x2 * q + np.float32(1.18534705686654e-04)
    q = x2 * q + np.float32(2.26843463243900e-03)
    q = x2 * q + np.float32(4.89352518554385e-03)
    return x * p / q


# Over all of a block at once, since rows are too short for these to fill the pipeline.
@compiled
def tanh(h):
    """In place."""
    flat = h.ravel()
    for k in range(len(flat)):
        flat[k] = _tanh_of(flat[k])


@compiled
def silu(h):
    """Times its own sigmoid, in place."""
    flat = h.ravel()
    for k in range(len(flat)):
        half = np.float32(0.5) * flat[k]
        flat[k] = half + half * _tanh_of(half)


@compiled
def relu(h):
    """In place."""
    flat = h.ravel()
    for k in range(len(flat)):
        flat[k] = max(flat[k], np.float32(0.0))


@dataclass(frozen=True, slots=True)
class RowLoops:
    """Loops over rows of one width, which the compiler unrolls. Arrays are (n, width).

    Any: numba gives its functions no types.
    """

    add_bias: Any
    """``(h, bias)``: in place."""

    norm: Any
    """``(h, bias, weight, shift, eps)``: layer norm of h + bias, in place."""

    gather_add: Any
    """``(h, at_row, row, at_col, col)``: h + at_row[row] + at_col[col], in place."""

    gather_norm: Any
    """``(h, at_row, row, at_col, col, weight, shift, eps)``: its norm, in place."""

    dot: Any
    """``(h, weight, bias, out)``: one number a row, to `out`, shape (n,)."""

    advance: Any
    """``(states, update, row, col, outward, inward)``: adds `update` to `states`, and
    the sum of the two to `outward` at `row` and `inward` at `col`."""

    exchange: Any
    """``(message, x, logits, row, col)``: adds x[row] to `message` at `col` and x[col]
    at `row`, each times the sigmoid of the edge's logit."""


@cache
def row_loops(width: int) -> RowLoops:
    """The loops for rows of `width` floats; compiled when first called."""
    n = np.float32(width)

    def add_bias(h, bias):
        for i in range(h.shape[0]):
            for k in range(width):
                h[i, k] += bias[k]

    def norm(h, bias, weight, shift, eps):
        held = np.empty(width, np.float32)
        for i in range(h.shape[0]):
            total, squares = np.float32(0.0), np.float32(0.0)
            for k in range(width):
                held[k] = h[i, k] + bias[k]
                total += held[k]
            mean = total / n
            for k in range(width):
                squares += (held[k] - mean) * (held[k] - mean)
            scale = np.float32(1.0) / np.sqrt(squares / n + eps)
            for k in range(width):
                h[i, k] = (held[k] - mean) * scale * weight[k] + shift[k]

    def gather_add(h, at_row, row, at_col, col):
        for i in range(h.shape[0]):
            outer, inner = row[i], col[i]
            for k in range(width):
                h[i, k] += at_row[outer, k] + at_col[inner, k]

    def gather_norm(h, at_row, row, at_col, col, weight, shift, eps):  # noqa: PLR0917
        held = np.empty(width, np.float32)
        for i in range(h.shape[0]):
            outer, inner = row[i], col[i]
            total, squares = np.float32(0.0), np.float32(0.0)
            for k in range(width):
                held[k] = h[i, k] + at_row[outer, k] + at_col[inner, k]
                total += held[k]
            mean = total / n
            for k in range(width):
                squares += (held[k] - mean) * (held[k] - mean)
            scale = np.float32(1.0) / np.sqrt(squares / n + eps)
            for k in range(width):
                h[i, k] = (held[k] - mean) * scale * weight[k] + shift[k]

    def dot(h, weight, bias, out):
        for i in range(h.shape[0]):
            total = np.float32(0.0)
            for k in range(width):
                total += h[i, k] * weight[k]
            out[i] = total + bias

    def advance(states, update, row, col, outward, inward):  # noqa: PLR0917
        for i in range(states.shape[0]):
            outer, inner = row[i], col[i]
            for k in range(width):
                states[i, k] += update[i, k]
            for k in range(width):
                outward[outer, k] += states[i, k]
            for k in range(width):
                inward[inner, k] += states[i, k]

    def exchange(message, x, logits, row, col):
        for i in range(len(logits)):
            outer, inner = row[i], col[i]
            attention = np.float32(1.0) / (np.float32(1.0) + np.exp(-logits[i]))
            for k in range(width):
                message[inner, k] += attention * x[outer, k]
            for k in range(width):
                message[outer, k] += attention * x[inner, k]

    return RowLoops(
        add_bias=compiled(add_bias),
        norm=compiled(norm),
        gather_add=compiled(gather_add),
        gather_norm=compiled(gather_norm),
        dot=compiled(dot),
        advance=compiled(advance),
        exchange=compiled(exchange),
    )
