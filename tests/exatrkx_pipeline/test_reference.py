"""Every stage against what the reference service gave for one event of 314 points.

Numbers: exatrkx-service, event ``in_e1000``. The weights of its networks are not public
in full, so each stage is fed the reference's own output of the stage before.
"""

import numpy as np
import pytest
import torch
from scipy.special import expit

from exatrkx_pipeline.config import GnnConfig, TrackBuildingConfig
from exatrkx_pipeline.graph.neighbours import radius_graph
from exatrkx_pipeline.networks.res_agnn import ResAGNN
from exatrkx_pipeline.stages.network_stages import apply_filter
from exatrkx_pipeline.tracks.track_building import (
    build_tracks,
    number_by_first_appearance,
)

N_POINTS = 314


@pytest.fixture(scope="module")
def reference(shared_data):
    def read(name, dtype):
        file = shared_data / "reference" / f"{name}.csv"
        return np.loadtxt(file, delimiter=",", dtype=dtype)

    return read


def as_edge_index(table):
    """Two rows, whichever way the file has them."""
    return table.astype(np.int64) if table.shape[0] == 2 else table.astype(np.int64).T


def in_order(edge_index):
    return edge_index[:, np.lexsort((edge_index[1], edge_index[0]))]


def test_radius_graph_has_exactly_the_reference_edges(reference):
    embedded = reference("embed_output_OUTPUT__0", np.float32)
    expected = as_edge_index(reference("frnn_output_OUTPUT0", float))

    found = radius_graph(embedded, 1.6)

    assert expected.shape == (2, 2334)
    np.testing.assert_array_equal(found, in_order(expected))


def test_filter_cut_keeps_exactly_the_reference_edges_in_order(reference):
    logits = reference("filter_output_OUTPUT__0", np.float32).ravel()
    edges = as_edge_index(reference("frnn_output_OUTPUT0", float))
    expected = as_edge_index(
        reference("applyfilter_output_EDGE_LIST_AFTER_FILTER", float)
    )

    kept = apply_filter(torch.from_numpy(logits), 0.21).numpy()

    assert kept.sum() == 584
    np.testing.assert_array_equal(edges[:, kept], expected)


def test_components_are_the_reference_tracks(reference):
    edges = as_edge_index(reference("applyfilter_output_EDGE_LIST_AFTER_FILTER", float))
    scores = expit(reference("gnn_output_OUTPUT__0", np.float64).ravel())
    expected = reference("wcc_output_OUTPUT0", float).ravel().astype(np.int64)

    labels = build_tracks(
        edges,
        scores.astype(np.float32),
        N_POINTS,
        TrackBuildingConfig(method="components", score_cut=0.75),
    )

    sizes = np.bincount(labels)
    assert (scores > 0.75).sum() == 457
    assert len(sizes) == 37
    assert ((sizes >= 3).sum(), (sizes >= 5).sum(), (sizes == 1).sum()) == (29, 27, 5)
    # The reference drops the last point; ours must not.
    assert (len(labels), len(expected)) == (N_POINTS, N_POINTS - 1)
    np.testing.assert_array_equal(labels[:-1], number_by_first_appearance(expected))


def paper_gnn():
    return ResAGNN(
        GnnConfig(
            architecture="ResAGNN",
            node_inputs=("r", "phi", "z"),
            edge_inputs=(),
            hidden=64,
            n_graph_iters=8,
            n_edge_layers=3,
            n_node_layers=3,
        )
    )


def test_res_agnn_has_the_shape_of_the_shipped_network():
    state = paper_gnn().state_dict()

    prefixes = {name.rsplit(".", 1)[0] for name in state}
    assert sum(tensor.numel() for tensor in state.values()) == 44_803
    assert len(state) == 36
    assert prefixes == (
        {f"input_network.{i}" for i in (0, 1, 3, 4, 6, 7)}
        | {f"edge_network.network.{i}" for i in (0, 1, 3, 4, 6, 7, 9)}
        | {f"node_network.network.{i}" for i in (0, 1, 3, 4, 6)}
    )


def plain_res_agnn(state, x_in, edge_index, n_iters):
    """The network as described, with no trick: gather, concatenate, add."""

    def mlp(prefix, last, h, *, activate_last):
        for i in range(0, last + 1, 3):
            h = h @ state[f"{prefix}.{i}.weight"].T + state[f"{prefix}.{i}.bias"]
            if i < last or activate_last:
                weight = state[f"{prefix}.{i + 1}.weight"]
                bias = state[f"{prefix}.{i + 1}.bias"]
                h = torch.nn.functional.layer_norm(h, h.shape[1:], weight, bias)
                h = torch.relu(h)
        return h

    row, col = edge_index

    def edge_network(x):
        both = torch.cat((x[row], x[col]), dim=1)
        return mlp("edge_network.network", 9, both, activate_last=False).squeeze(1)

    x = torch.cat((mlp("input_network", 6, x_in, activate_last=True), x_in), dim=1)
    for _ in range(n_iters):
        e = torch.sigmoid(edge_network(x))[:, None]
        message = torch.zeros_like(x)
        for k in range(len(row)):
            message[col[k]] += e[k] * x[row[k]]
            message[row[k]] += e[k] * x[col[k]]
        update = mlp(
            "node_network.network",
            6,
            torch.cat((message, x), dim=1),
            activate_last=False,
        )
        x = x + torch.cat((update, x_in), dim=1)
    return edge_network(x)


@torch.no_grad()
def test_res_agnn_computes_what_its_description_says(reference):
    torch.manual_seed(3)
    network = paper_gnn()
    x_in = torch.from_numpy(reference("in_e1000", np.float32)[:, :3])
    edges = as_edge_index(reference("applyfilter_output_EDGE_LIST_AFTER_FILTER", float))
    edge_index = torch.from_numpy(edges)

    logits = network(x_in, edge_index, torch.empty(edges.shape[1], 0))

    expected = plain_res_agnn(network.state_dict(), x_in, edge_index, 8)
    # The tolerance that the stored GPU values demand of the trained network.
    torch.testing.assert_close(logits, expected, atol=5e-4, rtol=1e-4)
