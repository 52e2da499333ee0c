"""The networks of a pipeline, executed by the compiled kernels.

An executor packs a network's weights when it is made, and does not see later changes.
Its results differ from torch's in the last bits, and are the same for any number of
threads and for any graphs that are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exatrkx_pipeline.kernels import edge_filter, interaction, layers
from exatrkx_pipeline.kernels.layout import (
    Edges,
    Graph,
    LayerPacker,
    Layers,
    Rows,
    SharedNorm,
    Tile,
    Tiles,
    aligned,
    whole_panels,
)
from exatrkx_pipeline.kernels.threads import GraphRanges, even_ranges, run_over
from exatrkx_pipeline.networks.edge_filter import EdgeFilter
from exatrkx_pipeline.networks.embedding import Embedding
from exatrkx_pipeline.networks.interaction_gnn import EdgeBlock, InteractionGNN
from exatrkx_pipeline.networks.layers import Mlp
from exatrkx_pipeline.networks.res_agnn import ResAGNN
from exatrkx_pipeline.stages.packing import (
    activation_number,
    add_groups,
    add_terms,
    after_norm,
    bias_of,
    centred,
    doubles,
    groups_of,
    norm_of,
    packed_readout,
)

Executor = Callable[..., Tensor]
"""Called as the network that it executes."""

TILE_FLOATS = 3_072
"""Floats of a tile's rows: 12 kB, and as much for the next layer."""

ROWS_OF_PRODUCT = 6
"""Rows that the product takes at a time: tiles are whole multiples."""


def executor_of(network: nn.Module, device: str) -> Executor:
    """The compiled kernels where there are some for the network, else the network.

    Parameters
    ----------
    network : Module
        In evaluation mode, float32. Its weights are copied if they are packed.
    device : str
        Where its inputs are, in torch's words; the kernels are for ``cpu``.
    """
    if device != "cpu":
        return network
    match network:
        case Embedding():
            return CompiledLayers(network.network)
        case EdgeFilter():
            return CompiledFilter(network)
        case InteractionGNN():
            return CompiledInteractionGNN(network)
        case ResAGNN():
            return CompiledResAGNN(network)
    return network


class CompiledLayers:
    """Layers of `mlp` over rows that stand alone."""

    def __init__(self, network: Mlp) -> None:
        groups = list(groups_of(network))
        packer = LayerPacker()
        add_groups(packer, groups)
        self._layers = packer.layers()
        self._n_out = groups[-1][0].out_features

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs of the last layer, shape (n, n_out), of inputs, shape (n, n_in)."""
        n, width = len(inputs), self._layers.width
        rows, size = _rows(inputs), tile_rows(width)
        outputs = np.empty((n, self._n_out), np.float32)
        out = Rows(outputs.ravel(), 0, self._n_out)
        run_over(
            _even_ranges(n),
            lambda first, end: layers.layers_over_rows(
                Tiles(first, end, size), self._layers, width, rows, out
            ),
        )
        return torch.from_numpy(outputs)


class CompiledFilter:
    """The edge filter: one pass over the edges."""

    def __init__(self, network: EdgeFilter) -> None:
        n_nodes_in = network.n_nodes_in
        row, col, edge = torch.split(
            network.input_layer.weight,
            [n_nodes_in, n_nodes_in, network.n_edges_in],
            dim=1,
        )
        terms, packer = LayerPacker(), LayerPacker()
        first_bias = bias_of(network.input_layer)
        add_terms(terms, [(doubles(row), first_bias), (doubles(col), None)])
        packer.add(doubles(edge))
        others, last = list(network.layers), network.output_layer
        for k, layer in enumerate(others):
            assert isinstance(layer, nn.Linear)  # as the network has built it
            weight, bias = doubles(layer.weight), bias_of(layer)
            if k:
                weight, bias = after_norm(weight, bias, network.norm)
            packer.add(weight, late_bias=bias)
        weight, bias = doubles(last.weight), bias_of(last)
        if others:
            weight, bias = after_norm(weight, bias, network.norm)
        self._terms, self._layers = terms.layers(), packer.layers()
        self._readout = packed_readout(weight, bias)
        eps = np.float32(network.norm.eps)
        self._norm = SharedNorm(network.input_layer.out_features, eps)

    def __call__(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); the inputs are those of `EdgeFilter`."""
        row, col = map(_array, edge_index)
        terms = _terms_of(_rows(nodes), len(nodes), self._terms)
        graph = _stateless_graph(row, col, terms, _rows(edges))
        size = tile_rows(len(self._readout.weights))
        logits = np.empty(len(row), np.float32)
        run_over(
            _even_ranges(len(row)),
            lambda first, end: edge_filter.filter_edges(
                Tiles(first, end, size),
                self._layers,
                graph,
                self._norm,
                self._readout,
                logits,
            ),
        )
        return torch.from_numpy(logits)


class CompiledInteractionGNN:
    """The interaction network: a few passes over the graph.

    Edges go through a block in tiles that stay within the cache: the gathered ends,
    both products, norms and activations, the new state and the sums at both ends are
    one pass over memory.
    """

    TILE = 48
    """Edges or nodes of a tile: at 64 floats each, 12 kB a layer."""

    def __init__(self, network: InteractionGNN) -> None:
        hidden = network.output_layer.in_features
        self._width = whole_panels(hidden)
        edge_blocks = [network.edge_encoder, *network.edge_updates, network.classifier]
        packer, nodes, terms, edges = LayerPacker(), [], [], []
        for k, block in enumerate([network.node_encoder, *network.node_updates]):
            begin = len(packer.plan)
            add_groups(packer, groups_of(block), n_input=hidden if k else None)
            nodes.append((begin, len(packer.plan)))
            add_terms(
                packer,
                _terms_layers(
                    edge_blocks[:2] if k == 0 else edge_blocks[k + 1 : k + 2]
                ),
            )
            terms.append((len(packer.plan) - 1, len(packer.plan)))
        for edge_block in edge_blocks:
            begin = len(packer.plan)
            norm, activation, block = edge_block.rest
            packer.add(
                centred(doubles(edge_block.from_edge.weight)),
                norm=norm_of(norm),
                activation=activation_number(activation),
            )
            add_groups(packer, groups_of(block))
            edges.append((begin, len(packer.plan)))
        whole = packer.layers()
        self._node_blocks, self._term_layers, self._edge_blocks = (
            [whole.part(*each) for each in ranges] for ranges in (nodes, terms, edges)
        )
        output = network.output_layer
        self._readout = packed_readout(doubles(output.weight), bias_of(output))

    def __call__(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); the inputs are those of `InteractionGNN`."""
        row, col = map(_array, edge_index)
        width, n_nodes = self._width, len(nodes)
        ranges = GraphRanges.of(row, col, n_nodes, torch.get_num_threads())
        # The encoder and the first update of edges see the same nodes: their terms lie
        # side by side. Later there are those of one block at a time.
        terms = aligned(n_nodes * 4 * width)
        graph = Graph(
            row,
            col,
            ranges.is_shared,
            terms=Rows(terms, 0, 4 * width),
            edges=Rows(aligned(len(row) * width), 0, width),
            nodes=Rows(aligned(n_nodes * 3 * width), 0, 3 * width),
        )
        node_inputs, edge_inputs = _rows(nodes), _rows(edges)
        self._run(
            ranges.nodes,
            lambda tiles: interaction.encode_nodes(
                tiles, self._node_blocks[0], self._term_layers[0], graph, node_inputs
            ),
        )
        encoder, update, *later = self._edge_blocks
        self._run(
            ranges.edges,
            lambda tiles: interaction.encode_edges(
                tiles, encoder, update, graph, edge_inputs
            ),
        )
        graph = graph._replace(terms=Rows(terms, 0, 2 * width))
        *updates, classifier = later
        for k, update in enumerate(updates, start=1):
            self._update_nodes(k, graph, ranges)
            self._update_edges(update, graph, ranges)
        self._update_nodes(len(updates) + 1, graph, ranges)
        logits = np.empty(len(row), np.float32)
        self._run(
            ranges.edges,
            lambda tiles: interaction.classify_edges(
                tiles, classifier, graph, self._readout, logits
            ),
        )
        return torch.from_numpy(logits)

    def _update_nodes(self, block: int, graph: Graph, ranges: GraphRanges) -> None:
        if ranges.shared_nodes:
            run_over(
                ranges.shared_nodes,
                lambda first, end: interaction.sum_shared(
                    first, end, ranges.shared, graph
                ),
            )
        update, term_layer = self._node_blocks[block], self._term_layers[block]
        self._run(
            ranges.nodes,
            lambda tiles: interaction.update_nodes(tiles, update, term_layer, graph),
        )

    def _update_edges(self, update: Layers, graph: Graph, ranges: GraphRanges) -> None:
        self._run(
            ranges.edges, lambda tiles: interaction.update_edges(tiles, update, graph)
        )

    def _run(
        self, ranges: Sequence[tuple[int, int]], kernel: Callable[[Tiles], None]
    ) -> None:
        run_over(ranges, lambda first, end: kernel(Tiles(first, end, self.TILE)))


class CompiledResAGNN:
    """``ResAGNN``: its edges in compiled passes, the rest as layers over nodes."""

    def __init__(self, network: ResAGNN) -> None:
        (first, norm, activation), *others, (last, _, _) = groups_of(
            network.edge_network.network
        )
        row, col = np.split(centred(doubles(first.weight)), 2, axis=1)
        terms, packer = LayerPacker(), LayerPacker()
        add_terms(terms, [(row, centred(bias_of(first))), (col, None)])
        # The first layer of an edge takes nothing but the terms of its ends.
        packer.add(
            np.empty((first.out_features, 0)),
            norm=norm_of(norm),
            activation=activation_number(activation),
        )
        add_groups(packer, others)
        self._terms, self._layers = terms.layers(), packer.layers()
        self._readout = packed_readout(doubles(last.weight), bias_of(last))
        self._input_network = CompiledLayers(network.input_network)
        self._node_network = CompiledLayers(network.node_network.network)
        self._n_hidden = network.config.hidden
        self._n_graph_iters = network.n_graph_iters

    def __call__(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); the inputs are those of `ResAGNN`."""
        del edges
        ends = Edges(*map(_array, edge_index))
        n_hidden, n_in = self._n_hidden, nodes.shape[1]
        width = len(self._readout.weights)
        # Per node: its message, then its state.
        pairs = torch.zeros(len(nodes), 2, width)
        message, state = pairs[:, 0, : n_hidden + n_in], pairs[:, 1, : n_hidden + n_in]
        state[:, :n_hidden] = self._input_network(nodes)
        state[:, n_hidden:] = nodes
        for _ in range(self._n_graph_iters):
            logits = self._logits(pairs, ends)
            pairs[:, 0] = 0.0
            rows = Rows(_array(pairs).ravel(), 0, 2 * width)
            interaction.exchange(ends, logits, rows)
            both = torch.cat((message, state), dim=1)
            state[:, :n_hidden] += self._node_network(both)
            state[:, n_hidden:] += nodes
        return torch.from_numpy(self._logits(pairs, ends))

    def _logits(self, pairs: Tensor, ends: Edges) -> NDArray[np.float32]:
        terms = _terms_of(_rows(pairs[:, 1]), len(pairs), self._terms)
        nothing = Rows(np.empty(0, np.float32), 0, 0)
        graph = _stateless_graph(*ends, terms, nothing)
        size = tile_rows(len(self._readout.weights))
        logits = np.empty(len(ends.row), np.float32)
        run_over(
            _even_ranges(len(logits)),
            lambda first, end: interaction.classify_edges(
                Tiles(first, end, size), self._layers, graph, self._readout, logits
            ),
        )
        return logits


def tile_rows(width: int) -> int:
    """Rows of a tile whose layers have this width."""
    return max(TILE_FLOATS // width // ROWS_OF_PRODUCT, 2) * ROWS_OF_PRODUCT


def _terms_layers(
    blocks: Sequence[EdgeBlock],
) -> list[tuple[NDArray[np.float64], NDArray[np.float64] | None]]:
    return [
        (centred(doubles(linear.weight)), centred(bias_of(linear)))
        for block in blocks
        for linear in (block.from_row, block.from_col)
    ]


def _terms_of(nodes: Rows, n_nodes: int, layer: Layers) -> Rows:
    """The terms of nodes in the first layer of an edge block."""
    terms = Rows(aligned(n_nodes * layer.width), 0, layer.width)
    run_over(
        _even_ranges(n_nodes),
        lambda first, end: layers.linear(Tile(first, end - first), layer, nodes, terms),
    )
    return terms


def _stateless_graph(
    row: NDArray[np.int64], col: NDArray[np.int64], terms: Rows, edges: Rows
) -> Graph:
    """A graph for a single pass over the edges, which have inputs but no states."""
    none = Rows(np.empty(0, np.float32), 0, 0)
    return Graph(row, col, np.empty(0, np.bool_), terms, edges, none)


def _even_ranges(n_rows: int) -> list[tuple[int, int]]:
    return even_ranges(n_rows, torch.get_num_threads())


def _rows(values: Tensor) -> Rows:
    """The rows of an array of shape (n, n_columns)."""
    return Rows(_array(values).ravel(), 0, values.shape[1])


# Any: floats or indices.
def _array(tensor: Tensor) -> NDArray[Any]:
    """A view of the tensor's memory; a copy if that is not contiguous."""
    view: NDArray[Any] = tensor.detach().contiguous().numpy()
    return view
