"""How weights, rows and graphs lie in memory for the kernels.

Constants and groups of arguments that the kernels and their callers share. Loads no
compiler. Arrays of floats are flat, float32 and contiguous. ``docs/kernels.md`` shows
what a panel, a plan and a tile are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LANES = 16
"""Floats of a vector, columns of a panel of weights, and points of a leaf."""

N_IN, N_PANELS, OFFSET, HAS_NORM, ACTIVATION = range(5)
"""Columns of a plan: inputs, panels of outputs, index of the first weight, whether a
norm follows, and which activation."""

LINEAR, RELU, SILU, TANH = range(4)
"""Activations in a plan; `LINEAR` is none."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]


class Layers(NamedTuple):
    """Packed layers, applied one after the other.

    A layer's block of weights begins a cache line. It holds panels of 16 output columns
    (input by input, 16 outputs side by side), then bias, gain and shift of its norm,
    then the norm's eps and one over the layer's width. Widths are filled up to whole
    panels with zeros, which stay zero through norm and activation.
    """

    plan: Indices
    """Shape (n_layers, 5), see `N_IN` to `ACTIVATION`."""

    weights: Floats
    """Blocks of these layers and of others."""

    def part(self, first: int, end: int) -> Layers:
        """Layers `first` to `end`; a view."""
        return Layers(self.plan[first:end], self.weights)

    @property
    def width(self) -> int:
        """Floats of a row of the widest layer, in whole panels."""
        return int(self.plan[:, N_PANELS].max()) * LANES


class Panels(NamedTuple):
    """Weights of one layer: panel `p` begins at ``offset + p * n_in * LANES``."""

    values: Floats
    offset: int
    n_in: int


class Rows(NamedTuple):
    """Rows in a flat array: row `i` begins at ``offset + i * step``."""

    values: Floats
    offset: int
    step: int  #: floats from one row to the next; 0 if all are the same row


class Tiles(NamedTuple):
    """A range of rows or edges, and how many of them are computed at a time."""

    begin: int
    end: int
    size: int


class Tile(NamedTuple):
    """Rows or edges `begin` to ``begin + n``."""

    begin: int
    n: int


class Scratch(NamedTuple):
    """Two buffers for the rows of a tile, used in turn by its layers."""

    values: Floats  #: shape (2 * size,): the buffers begin at 0 and at `size`
    size: int
    step: int  #: floats of a row
    scales: Floats  #: one over the deviation of each row, shape (n_rows,)


class Edges(NamedTuple):
    """Ends of each edge, both of shape (n_edges,)."""

    row: Indices
    col: Indices


class Graph(NamedTuple):
    """A graph while a network is applied to it."""

    row: Indices  #: outer end of each edge, shape (n_edges,)
    col: Indices  #: inner end of each edge, shape (n_edges,)
    is_shared: NDArray[np.bool_]
    """Nodes whose incoming edges are summed by `sum_shared`, shape (n_nodes,)."""

    terms: Rows
    """Per node, its terms in the first layer of an edge block: `width` floats for edges
    that leave it as row, then as many for edges that reach it as column."""

    edges: Rows  #: state of each edge; the inputs, for a network without states
    nodes: Rows
    """State of each node, then the sums over its outgoing and its incoming edges."""


class SharedNodes(NamedTuple):
    """Nodes that edges of several threads lead to, and these edges."""

    nodes: Indices
    starts: Indices  #: first of each node's edges in `incoming`, and the end
    incoming: Indices  #: edges, node by node, in their order


class Readout(NamedTuple):
    """A linear layer with one output."""

    weights: Floats  #: shape (width,), zeros after the last input
    bias: np.float32


class SharedNorm(NamedTuple):
    """The layer norm of the edge filter, whose gain and shift are in the layers."""

    n_hidden: int
    eps: np.float32


class Norm(NamedTuple):
    """A layer norm over the outputs of a layer, both arrays of shape (n_out,)."""

    gain: Doubles
    shift: Doubles
    eps: float


@dataclass(slots=True)
class LayerPacker:
    """Collects layers; they are numbered from 0."""

    plan: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    blocks: list[Floats] = field(default_factory=list)
    size: int = 0

    def add(
        self,
        weight: Doubles,
        bias: Doubles | None = None,
        *,
        norm: Norm | None = None,
        activation: int = LINEAR,
        late_bias: Doubles | None = None,
    ) -> None:
        """Append a layer.

        Parameters
        ----------
        weight : ndarray, shape (n_out, n_in), float64
            If there is a norm, the outputs must have mean 0 (see `packing.centred`).
        bias : ndarray, shape (n_out,), float64, optional
        norm : Norm, optional
        activation : int
            `LINEAR`, `RELU`, `SILU` or `TANH`.
        late_bias : ndarray, shape (n_out,), float64, optional
            Stored in place of a norm's gain, for a kernel that adds it itself.
        """
        n_out, n_in = weight.shape
        width = whole_panels(n_out)
        columns = np.zeros((n_in, width))
        columns[:, :n_out] = weight.T
        tail = np.zeros((3, width))
        if bias is not None:
            tail[0, :n_out] = bias
        if late_bias is not None:
            tail[1, :n_out] = late_bias
        if norm is not None:
            tail[1, :n_out], tail[2, :n_out] = norm.gain, norm.shift
        eps = 0.0 if norm is None else norm.eps
        panels = columns.reshape(n_in, width // LANES, LANES).transpose(1, 0, 2)
        block = np.concatenate((panels.ravel(), tail.ravel(), (eps, 1.0 / n_out)))
        has_norm = int(norm is not None)
        self.plan.append((n_in, width // LANES, self.size, has_norm, activation))
        self.blocks.append(np.zeros(whole_panels(len(block)), np.float32))
        self.blocks[-1][: len(block)] = block
        self.size += len(self.blocks[-1])

    def layers(self) -> Layers:
        """All layers; the weights begin at a cache line."""
        weights = aligned(self.size)
        weights[:] = np.concatenate(self.blocks)
        return Layers(np.array(self.plan, np.int64), weights)


def whole_panels(width: int) -> int:
    """The width filled up to a multiple of 16."""
    return -(-width // LANES) * LANES


def aligned(size: int) -> Floats:
    """Uninitialised floats that begin at a cache line."""
    whole = np.empty(size + LANES, np.float32)
    first = -(whole.ctypes.data // whole.itemsize) % LANES
    return whole[first : first + size]
