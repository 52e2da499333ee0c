"""Passes of a graph network over its edges and nodes, a tile at a time.

Arguments are described in `layout`. Each pass takes a range of edges or nodes; a range
of edges must have all edges of its rows.
"""

# mypy: disable-error-code="no-untyped-def"
# Compiled functions take their types from the call.

from __future__ import annotations

import numpy as np

from exatrkx_pipeline.kernels.layers import (
    finish,
    layers_over_tile,
    linear,
    new_scratch,
    other_layers,
    product,
    rows_of_tile,
    scratch_rows,
    tile_at,
)
from exatrkx_pipeline.kernels.layout import LANES, N_PANELS, Rows
from exatrkx_pipeline.kernels.machine_code import compiled_as_written
from exatrkx_pipeline.kernels.vectors import (
    add,
    fill,
    fma,
    load,
    not_inlined,
    store,
    total,
)


@compiled_as_written
def encode_nodes(tiles, encoder, term_layer, graph, inputs):
    """States of nodes from their inputs, sums of zero, and the nodes' terms.

    Parameters
    ----------
    tiles : Tiles
        Range of nodes.
    encoder : Layers
    term_layer : Layers
        One layer, from states to ``graph.terms``.
    graph : Graph
        `nodes` and `terms` are written.
    inputs : Rows
    """
    nodes = graph.nodes
    width = nodes.step // 3
    scratch = new_scratch(tiles.size, width)
    for begin in range(tiles.begin, tiles.end, tiles.size):
        tile = tile_at(tiles, begin)
        result = layers_over_tile(tile, encoder, inputs, scratch)
        for i in range(tile.n):
            node = (begin + i) * nodes.step
            for p in range(0, width, LANES):
                state = load(scratch.values, result + i * width + p)
                _start_sums(nodes.values, node + p, width, state)
        linear(tile, term_layer, nodes, graph.terms)


@compiled_as_written
def update_nodes(tiles, update, term_layer, graph):
    """Add an update to the states of nodes, clear their sums, and renew their terms.

    Parameters
    ----------
    tiles : Tiles
        Range of nodes.
    update, term_layer : Layers
        From state and sums to the update; one layer, from states to ``graph.terms``.
    graph : Graph
        `nodes` and `terms` are written.
    """
    nodes = graph.nodes
    width = nodes.step // 3
    scratch = new_scratch(tiles.size, width)
    for begin in range(tiles.begin, tiles.end, tiles.size):
        tile = tile_at(tiles, begin)
        result = layers_over_tile(tile, update, nodes, scratch)
        for i in range(tile.n):
            node = (begin + i) * nodes.step
            for p in range(0, width, LANES):
                change = load(scratch.values, result + i * width + p)
                state = add(load(nodes.values, node + p), change)
                _start_sums(nodes.values, node + p, width, state)
        linear(tile, term_layer, nodes, graph.terms)


@compiled_as_written
def _start_sums(nodes, offset, width, state):
    """Store 16 columns of a node's state, and zeros in both of its sums."""
    store(nodes, offset, state)
    store(nodes, offset + width, fill(np.float32(0.0)))
    store(nodes, offset + 2 * width, fill(np.float32(0.0)))


@compiled_as_written
def encode_edges(tiles, encoder, update, graph, inputs):
    """States of edges from their inputs, their first update, and the sums at nodes.

    Parameters
    ----------
    tiles : Tiles
        Range of edges.
    encoder, update : Layers
        Edge blocks; the terms of `update` stand behind those of `encoder`.
    graph : Graph
        `edges` and the sums in `nodes` are written.
    inputs : Rows
    """
    width, terms = graph.edges.step, graph.terms
    update_terms = Rows(terms.values, terms.offset + 2 * width, terms.step)
    scratch = new_scratch(tiles.size, width)
    for begin in range(tiles.begin, tiles.end, tiles.size):
        tile = tile_at(tiles, begin)
        result = edge_block(tile, encoder, graph, terms, inputs, scratch)
        for p in range(0, tile.n * width, LANES):
            state = load(scratch.values, result + p)
            store(graph.edges.values, begin * width + p, state)
        result = edge_block(tile, update, graph, update_terms, graph.edges, scratch)
        advance(tile, graph, scratch_rows(scratch, result))


@compiled_as_written
def update_edges(tiles, update, graph):
    """An update of the states of edges, and the sums at nodes.

    Parameters
    ----------
    tiles : Tiles
        Range of edges.
    update : Layers
        Edge block.
    graph : Graph
        `edges` and the sums in `nodes` are written.
    """
    scratch = new_scratch(tiles.size, graph.edges.step)
    for begin in range(tiles.begin, tiles.end, tiles.size):
        tile = tile_at(tiles, begin)
        result = edge_block(tile, update, graph, graph.terms, graph.edges, scratch)
        advance(tile, graph, scratch_rows(scratch, result))


@compiled_as_written
def classify_edges(tiles, classifier, graph, readout, logits):
    """Logits of edges: an edge block and a linear layer with one output.

    Parameters
    ----------
    tiles : Tiles
        Range of edges.
    classifier : Layers
        Edge block.
    graph : Graph
    readout : Readout
    logits : ndarray, shape (n_edges,), float32
        Written.
    """
    width = len(readout.weights)
    scratch = new_scratch(tiles.size, width)
    for begin in range(tiles.begin, tiles.end, tiles.size):
        tile = tile_at(tiles, begin)
        result = edge_block(tile, classifier, graph, graph.terms, graph.edges, scratch)
        for i in range(tile.n):
            rows = scratch_rows(scratch, result)
            logits[begin + i] = weighted_sum(rows, i, readout.weights) + readout.bias


@compiled_as_written
def weighted_sum(rows, row, weights):
    """The sum of a row's columns, times the weights; a whole number of vectors."""
    products = fill(np.float32(0.0))
    for p in range(0, len(weights), LANES):
        h = load(rows.values, rows.offset + row * rows.step + p)
        products = fma(h, load(weights, p), products)
    return total(products)


@compiled_as_written
def edge_block(tile, layers, graph, terms, inputs, scratch):  # noqa: PLR0917
    """Apply an edge block to a tile; the offset of the result in `scratch`.

    The first layer is linear in the states of both ends and of the edge: the terms of
    the ends are gathered, and only the edge's is computed here.

    Parameters
    ----------
    tile : Tile
    layers : Layers
    graph : Graph
    terms, inputs : Rows
        Per node, and per edge.
    scratch : Scratch
    """
    not_inlined()
    first = scratch_rows(scratch, 0)
    gather(tile, graph, terms, layers.plan[0, N_PANELS] * LANES, first)
    product(tile.n, layers, 0, rows_of_tile(inputs, tile), first, first)
    finish(tile.n, layers, 0, first, scratch.scales)
    return other_layers(tile.n, layers, scratch)


@compiled_as_written
def gather(tile, graph, terms, width, out):
    """Per edge of a tile, the sum of the terms of its two ends.

    Parameters
    ----------
    tile : Tile
    graph : Graph
    terms : Rows
        Per node, `width` floats as row and `width` floats as column.
    width : int
    out : Rows
        Written, from row 0 on.
    """
    for i in range(tile.n):
        edge = tile.begin + i
        as_row = terms.offset + graph.row[edge] * terms.step
        as_col = terms.offset + graph.col[edge] * terms.step + width
        for p in range(0, width, LANES):
            sum_of_terms = add(
                load(terms.values, as_row + p), load(terms.values, as_col + p)
            )
            store(out.values, out.offset + i * out.step + p, sum_of_terms)


@compiled_as_written
def advance(tile, graph, updates):
    """Add updates to the states of a tile's edges, and the new states to the sums.

    Parameters
    ----------
    tile : Tile
    graph : Graph
        `edges` and the sums in `nodes` are written.
    updates : Rows
        Per edge of the tile.
    """
    states, nodes, width = graph.edges.values, graph.nodes.values, graph.edges.step
    for i in range(tile.n):
        edge = tile.begin + i
        outgoing = graph.row[edge] * graph.nodes.step + width
        incoming = graph.col[edge] * graph.nodes.step + 2 * width
        is_summed = not graph.is_shared[graph.col[edge]]
        for p in range(0, width, LANES):
            place = edge * width + p
            update = load(updates.values, updates.offset + i * updates.step + p)
            state = add(load(states, place), update)
            store(states, place, state)
            store(nodes, outgoing + p, add(load(nodes, outgoing + p), state))
            if is_summed:
                store(nodes, incoming + p, add(load(nodes, incoming + p), state))


@compiled_as_written
def sum_shared(first, end, shared, graph):
    """Sums over incoming edges of the nodes that edges of several ranges lead to.

    They are added in the order of the edges, as `advance` does: to the same bits.

    Parameters
    ----------
    first, end : int
        Range of ``shared.nodes``.
    shared : SharedNodes
    graph : Graph
        The sums in `nodes` are written.
    """
    states, nodes, width = graph.edges.values, graph.nodes.values, graph.edges.step
    for i in range(first, end):
        incoming = shared.nodes[i] * graph.nodes.step + 2 * width
        for k in range(shared.starts[i], shared.starts[i + 1]):
            edge = shared.incoming[k] * width
            for p in range(0, width, LANES):
                place = incoming + p
                store(nodes, place, add(load(nodes, place), load(states, edge + p)))


@compiled_as_written
def exchange(edges, logits, pairs):
    """Add to the message of each end of an edge the other's state, times the attention.

    Parameters
    ----------
    edges : Edges
    logits : ndarray, shape (n_edges,), float32
        Attention is the sigmoid of the logit.
    pairs : Rows
        Per node its message, which is written, then its state, both of
        ``pairs.step // 2`` floats.
    """
    values, width = pairs.values, pairs.step // 2
    for edge in range(len(logits)):
        attention = fill(np.float32(1.0) / (np.float32(1.0) + np.exp(-logits[edge])))
        outer, inner = edges.row[edge] * pairs.step, edges.col[edge] * pairs.step
        for p in range(0, width, LANES):
            state, message = load(values, outer + width + p), load(values, inner + p)
            store(values, inner + p, fma(attention, state, message))
        for p in range(0, width, LANES):
            state, message = load(values, inner + width + p), load(values, outer + p)
            store(values, outer + p, fma(attention, state, message))
