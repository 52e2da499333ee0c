"""Fused loops compute what torch computes with gradients, and each row as if alone."""

import subprocess
import sys

import pytest
import torch

from exatrkx_pipeline.config import FilterConfig, GnnConfig
from exatrkx_pipeline.event_groups import plan_groups
from exatrkx_pipeline.graph.compact_graph import CompactGraph
from exatrkx_pipeline.networks.edge_filter import EdgeFilter
from exatrkx_pipeline.networks.gnn import build_gnn
from exatrkx_pipeline.networks.layers import mlp

THREE = ("r", "phi", "z")
# Sums in another order, and tanh to 3e-7: a few times float32's resolution.
TOLERANCE = {"atol": 5e-5, "rtol": 1e-4}


def random_graph(n_nodes, n_edges, seed=0):
    generator = torch.Generator().manual_seed(seed)
    nodes = torch.randn(n_nodes, 3, generator=generator)
    ends = torch.randint(0, n_nodes, (2, n_edges), generator=generator)
    ends = torch.stack((ends.max(dim=0).values, ends.min(dim=0).values))
    return nodes, ends[:, torch.argsort(ends[0], stable=True)]


@pytest.mark.parametrize("activation", ["relu", "silu", "tanh"])
@pytest.mark.parametrize("layer_norm", [True, False], ids=["norm", "no norm"])
@pytest.mark.parametrize("n_rows", [0, 1, 15, 16, 5_000])
def test_layers_give_what_torch_gives(activation, layer_norm, n_rows):
    torch.manual_seed(1)
    network = mlp(
        (6, 33, 64, 5),
        activation=activation,
        layer_norm=layer_norm,
        output_activation=False,
    )
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, std=0.4)
    h = torch.randn(n_rows, 6)

    with torch.no_grad():
        fused = network(h)

    torch.testing.assert_close(fused, network(h).detach(), **TOLERANCE)


@pytest.mark.parametrize("n_rows", [1, 3, 16, 17, 100])
def test_row_does_not_depend_on_its_company_to_the_last_bit(n_rows):
    torch.manual_seed(2)
    network = mlp((6, 64, 64), activation="silu", layer_norm=True, output_activation=1)
    h = torch.randn(4_096, 6)

    with torch.no_grad():
        whole, part = network(h), network(h[1_000 : 1_000 + n_rows])

    assert torch.equal(part, whole[1_000 : 1_000 + n_rows])


@pytest.mark.parametrize("architecture", ["InteractionGNN", "ResAGNN"])
@pytest.mark.parametrize(("n_nodes", "n_edges"), [(1, 0), (2, 1), (900, 9_000)])
def test_gnn_without_gradients_is_the_one_that_was_trained(
    architecture, n_nodes, n_edges
):
    torch.manual_seed(3)
    edge_inputs = ("dr", "dz") if architecture == "InteractionGNN" else ()
    network = build_gnn(
        GnnConfig(
            architecture=architecture,
            node_inputs=THREE,
            edge_inputs=edge_inputs,
            hidden=32,
            n_graph_iters=3,
            n_edge_layers=2,
            n_node_layers=2,
        )
    )
    nodes, ends = random_graph(n_nodes, n_edges)
    edges = torch.randn(n_edges, len(edge_inputs))

    with torch.no_grad():
        fused = network(nodes, ends, edges)

    plain = network(nodes, ends, edges).detach()
    torch.testing.assert_close(fused, plain, atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize("edge_inputs", [(), ("dr", "dz")], ids=["paper's", "ours"])
def test_filter_without_gradients_is_the_one_that_was_trained(edge_inputs):
    torch.manual_seed(4)
    network = EdgeFilter(
        FilterConfig(
            node_inputs=THREE,
            edge_inputs=edge_inputs,
            hidden=48,
            n_layers=4,
            filter_cut=0.5,
        )
    )
    nodes, ends = random_graph(300, 9_000)
    edges = torch.randn(9_000, len(edge_inputs))

    with torch.no_grad():
        fused = network(nodes, ends, edges)

    torch.testing.assert_close(fused, network(nodes, ends, edges).detach(), **TOLERANCE)


def test_compact_graph_has_the_same_edges_between_the_points_that_have_any():
    _, ends = random_graph(500, 200)
    phi = torch.rand(500)

    graph = CompactGraph.of(ends, phi)

    assert torch.equal(graph.nodes[graph.edge_index], ends[:, graph.order])
    assert torch.equal(graph.nodes.sort().values, torch.unique(ends))
    assert (phi[graph.nodes].diff() >= 0).all()
    assert (graph.edge_index[0].diff() >= 0).all()
    places = torch.arange(200)
    assert torch.equal(graph.as_given(places[graph.order]), places)


def test_points_without_edges_change_no_score(small_pipeline, features):
    points = small_pipeline.ordered(features(300))[1]
    edges = torch.tensor([[5, 9, 9], [2, 2, 5]])
    few = small_pipeline.ordered(features(300))[1]
    kept = torch.tensor([2, 5, 9])
    few = type(few)(few.r[kept], few.phi[kept], few.z[kept], few.scaled[kept])

    alone = small_pipeline.gnn_logits(few, torch.tensor([[1, 2, 2], [0, 0, 1]]))

    assert torch.equal(small_pipeline.gnn_logits(points, edges), alone)


def test_groups_are_all_events_in_order_and_no_larger_than_asked():
    groups = list(plan_groups([4, 5, 30, 0, 2, 9, 1], 10))

    assert groups == [range(2), range(2, 3), range(3, 5), range(5, 7)]
    assert list(plan_groups([])) == []


def test_loaded_package_has_not_loaded_the_compiler():
    check = "import exatrkx_pipeline, sys; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
