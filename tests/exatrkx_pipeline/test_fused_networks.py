"""Compiled networks: torch's results; the same bits alone, in a batch, in threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from exatrkx_pipeline.config import EmbeddingConfig, FilterConfig, GnnConfig
from exatrkx_pipeline.kernels import edge_ranges
from exatrkx_pipeline.kernels.machine_code import compiled
from exatrkx_pipeline.networks.edge_filter import EdgeFilter
from exatrkx_pipeline.networks.embedding import Embedding
from exatrkx_pipeline.networks.gnn import build_gnn
from exatrkx_pipeline.networks.layers import Mlp

THREE = ("r", "phi", "z")
SIZES = st.one_of(
    st.sampled_from([0, 1, 5, 6, 7, 15, 16, 17, 47, 48, 49, 96, 97]),
    st.integers(0, 3_000),
)


def random_graph(n_nodes, n_edges, seed=0):
    """Node inputs, edges sorted by row, edge inputs."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, n_nodes, (2, n_edges), generator=generator)
    return (
        torch.randn(n_nodes, 3, generator=generator),
        ends[:, torch.argsort(ends[0], stable=True)],
        torch.randn(n_edges, 2, generator=generator),
    )


def gnn(architecture="InteractionGNN", hidden=32):
    torch.manual_seed(3)
    return build_gnn(
        GnnConfig(
            architecture=architecture,
            node_inputs=THREE,
            edge_inputs=("dr", "dz") if architecture == "InteractionGNN" else (),
            hidden=hidden,
            n_graph_iters=3,
            n_edge_layers=2,
            n_node_layers=2,
        )
    )


def edge_filter(hidden=32):
    torch.manual_seed(4)
    config = FilterConfig(
        node_inputs=THREE,
        edge_inputs=("dr", "dz"),
        hidden=hidden,
        n_layers=4,
        filter_cut=0.5,
    )
    return EdgeFilter(config)


def embedding(activation="silu"):
    torch.manual_seed(5)
    config = EmbeddingConfig(
        node_inputs=THREE,
        hidden=48,
        n_layers=3,
        dim=8,
        activation=activation,
        layer_norm=True,
    )
    return Embedding(config)


NETWORKS = {"gnn": gnn(), "paper's gnn": gnn("ResAGNN"), "filter": edge_filter()}
each_network = pytest.mark.parametrize("name", NETWORKS)


def without_gradients(network, *inputs):
    with torch.no_grad():
        return network(*inputs)


@each_network
@settings(max_examples=15)
@given(n_nodes=st.integers(1, 300), n_edges=SIZES, seed=st.integers(0, 99))
def test_logits_are_those_of_torch(name, n_nodes, n_edges, seed):
    graph = random_graph(n_nodes, n_edges, seed)

    compiled = without_gradients(NETWORKS[name], *graph)

    plain = NETWORKS[name](*graph).detach()
    torch.testing.assert_close(compiled, plain, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("hidden", [5, 16, 20, 67])
@pytest.mark.parametrize("build", [gnn, edge_filter], ids=["gnn", "filter"])
def test_any_width_is_filled_up_and_gives_the_same(build, hidden):
    network, graph = build(hidden=hidden), random_graph(40, 200)

    compiled = without_gradients(network, *graph)

    plain = network(*graph).detach()
    torch.testing.assert_close(compiled, plain, atol=2e-4, rtol=2e-4)


@each_network
@settings(max_examples=15)
@given(sizes=st.lists(SIZES, min_size=1, max_size=4))
def test_graphs_side_by_side_have_the_bits_that_each_has_alone(name, sizes):
    graphs = [random_graph(n // 3 + 1, n, seed) for seed, n in enumerate(sizes)]
    starts = np.cumsum([0, *(len(nodes) for nodes, _, _ in graphs)])
    together = (
        torch.cat([nodes for nodes, _, _ in graphs]),
        torch.cat(
            [g[1] + int(start) for g, start in zip(graphs, starts[:-1], strict=True)], 1
        ),
        torch.cat([edges for _, _, edges in graphs]),
    )

    batch = without_gradients(NETWORKS[name], *together)

    alone = [without_gradients(NETWORKS[name], *graph) for graph in graphs]
    assert torch.equal(batch, torch.cat(alone))


@pytest.fixture
def use_threads(monkeypatch):
    """Set torch's number of threads, for rows however few."""
    monkeypatch.setattr(edge_ranges, "LEAST_ROWS", 20)
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@each_network
@pytest.mark.parametrize(("n_nodes", "n_edges"), [(2, 90), (40, 41), (700, 2_000)])
def test_number_of_threads_changes_no_bit(name, n_nodes, n_edges, use_threads):
    graph = random_graph(n_nodes, n_edges)
    results = []

    for n_threads in (1, 2, 3, 7):
        use_threads(n_threads)
        results.append(without_gradients(NETWORKS[name], *graph))

    assert all(torch.equal(results[0], each) for each in results[1:])


def test_number_of_threads_changes_no_bit_of_an_embedding(use_threads):
    network, nodes = embedding(), torch.randn(500, 3)
    use_threads(1)
    alone = without_gradients(network, nodes)

    use_threads(3)

    assert torch.equal(without_gradients(network, nodes), alone)


def test_rows_out_of_order_are_summed_all_the_same(use_threads):
    nodes, ends, edges = random_graph(50, 400)
    mixed = torch.randperm(400, generator=torch.Generator().manual_seed(6))
    use_threads(3)

    compiled = without_gradients(NETWORKS["gnn"], nodes, ends[:, mixed], edges[mixed])

    plain = NETWORKS["gnn"](nodes, ends, edges).detach()[mixed]
    torch.testing.assert_close(compiled, plain, atol=2e-4, rtol=2e-4)


def test_callers_at_the_same_time_do_not_mix(use_threads):
    graphs = [random_graph(100, 300, seed) for seed in range(8)]
    use_threads(1)
    alone = [without_gradients(NETWORKS["gnn"], *graph) for graph in graphs]
    use_threads(3)

    with ThreadPoolExecutor(4) as callers:
        found = list(
            callers.map(
                lambda graph: without_gradients(NETWORKS["gnn"], *graph), graphs
            )
        )

    assert all(map(torch.equal, found, alone))


def test_weights_that_change_are_seen():
    network, graph = gnn(), random_graph(30, 90)
    without_gradients(network, *graph)
    others = {k: v * 1.5 for k, v in network.state_dict().items()}

    network.load_state_dict(others)

    plain = network(*graph).detach()
    compiled = without_gradients(network, *graph)
    torch.testing.assert_close(compiled, plain, atol=5e-4, rtol=5e-4)
    with torch.no_grad():
        network.output_layer.weight.zero_()
    assert (without_gradients(network, *graph) == network.output_layer.bias).all()


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.Tanh(), nn.ReLU()], ids=str)
def test_activation_is_torchs_from_one_end_of_the_numbers_to_the_other(activation):
    layer = nn.Linear(1, 16)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    network = Mlp(layer, activation)
    size = torch.logspace(-30, 25, 4_000)
    inf, nan = float("inf"), float("nan")
    x = torch.cat((size, -size, torch.linspace(-20, 20, 4_001)))
    x = torch.cat((x, torch.tensor([0.0, inf, nan])))[:, None]

    found = without_gradients(network, x)[:, 0]

    exact = activation(x[:, 0].double())
    torch.testing.assert_close(
        found.double(), exact, atol=1e-6, rtol=3e-6, equal_nan=True
    )


@pytest.mark.parametrize("activation", ["relu", "silu", "tanh"])
def test_a_row_of_equal_numbers_has_no_deviation_and_no_infinity(activation):
    network = embedding(activation)
    with torch.no_grad():
        network.network[0].weight.zero_()
        network.network[0].bias.fill_(3.0)
    nodes = torch.randn(20, 3)

    compiled = without_gradients(network, nodes)

    torch.testing.assert_close(compiled, network(nodes).detach(), atol=1e-4, rtol=1e-4)


def test_threads_may_make_the_first_call_of_a_compiled_function_together():
    @compiled
    def halved(x):
        return np.sqrt(x) / np.float32(2.0)

    @compiled
    def summed(values):
        total = np.float32(0.0)
        for k in range(len(values)):
            total += halved(values[k])
        return total

    barrier = Barrier(4)

    def first_call():
        barrier.wait()
        return summed(np.full(4, 9.0, np.float32))

    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(first_call) for _ in range(4)]

    assert [call.result() for call in calls] == [6.0] * 4
