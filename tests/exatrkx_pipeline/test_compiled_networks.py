"""Compiled networks: torch's results; the same bits alone, in a batch, in threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from exatrkx_pipeline.config import EmbeddingConfig, FilterConfig, GnnConfig
from exatrkx_pipeline.kernels import threads
from exatrkx_pipeline.networks.build import build_gnn
from exatrkx_pipeline.networks.edge_filter import EdgeFilter
from exatrkx_pipeline.networks.embedding import Embedding
from exatrkx_pipeline.networks.layers import Mlp, mlp
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.stages.compiled_networks import CompiledLayers, executor_of

THREE = ("r", "phi", "z")
SIZES = st.one_of(
    st.sampled_from([0, 1, 5, 6, 7, 15, 16, 17, 47, 48, 49, 96, 97]),
    st.integers(0, 3_000),
)
# Sums in another order, and tanh to 3e-7: a few times float32's resolution.
TOLERANCE = {"atol": 2e-4, "rtol": 2e-4}


def random_graph(n_nodes, n_edges, seed=0, n_edge_inputs=2):
    """Node inputs, edges sorted by row, edge inputs."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, n_nodes, (2, n_edges), generator=generator)
    return (
        torch.randn(n_nodes, 3, generator=generator),
        ends[:, torch.argsort(ends[0], stable=True)],
        torch.randn(n_edges, n_edge_inputs, generator=generator),
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


def edge_filter(hidden=32, edge_inputs=("dr", "dz"), n_layers=4):
    torch.manual_seed(4)
    config = FilterConfig(
        node_inputs=THREE,
        edge_inputs=edge_inputs,
        hidden=hidden,
        n_layers=n_layers,
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
COMPILED = {name: executor_of(network, "cpu") for name, network in NETWORKS.items()}
each_network = pytest.mark.parametrize("name", NETWORKS)


def assert_computes(network, *inputs):
    """Compare a compiled network with torch."""
    plain = network(*inputs).detach()
    found = executor_of(network, "cpu")(*inputs)
    torch.testing.assert_close(found, plain, **TOLERANCE)


@each_network
@settings(max_examples=15)
@given(n_nodes=st.integers(1, 300), n_edges=SIZES, seed=st.integers(0, 99))
def test_logits_are_those_of_torch(name, n_nodes, n_edges, seed):
    graph = random_graph(n_nodes, n_edges, seed)

    found = COMPILED[name](*graph)

    torch.testing.assert_close(found, NETWORKS[name](*graph).detach(), **TOLERANCE)


@pytest.mark.parametrize("hidden", [5, 16, 20, 67])
@pytest.mark.parametrize("build", [gnn, edge_filter], ids=["gnn", "filter"])
def test_any_width_is_filled_up_and_gives_the_same(build, hidden):
    assert_computes(build(hidden=hidden), *random_graph(40, 200))


@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_filter_may_have_few_layers_and_no_edge_inputs(n_layers):
    network = edge_filter(edge_inputs=(), n_layers=n_layers)

    assert_computes(network, *random_graph(300, 2_000, n_edge_inputs=0))


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

    found = CompiledLayers(network)(h)

    torch.testing.assert_close(found, network(h).detach(), atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("n_rows", [1, 3, 16, 17, 100])
def test_a_row_does_not_depend_on_other_rows_to_the_last_bit(n_rows):
    torch.manual_seed(2)
    network = mlp((6, 64, 64), activation="silu", layer_norm=True, output_activation=1)
    compiled, h = CompiledLayers(network), torch.randn(4_096, 6)

    whole, some = compiled(h), compiled(h[1_000 : 1_000 + n_rows])

    assert torch.equal(some, whole[1_000 : 1_000 + n_rows])


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

    batch = COMPILED[name](*together)

    alone = [COMPILED[name](*graph) for graph in graphs]
    assert torch.equal(batch, torch.cat(alone))


@pytest.fixture
def use_threads(monkeypatch):
    """Set torch's number of threads, for rows however few."""
    monkeypatch.setattr(threads, "LEAST_ROWS", 20)
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
        results.append(COMPILED[name](*graph))

    assert all(torch.equal(results[0], each) for each in results[1:])


def test_number_of_threads_changes_no_bit_of_an_embedding(use_threads):
    compiled, nodes = executor_of(embedding(), "cpu"), torch.randn(500, 3)
    use_threads(1)
    alone = compiled(nodes)

    use_threads(3)

    assert torch.equal(compiled(nodes), alone)


def test_rows_out_of_order_are_summed_all_the_same(use_threads):
    nodes, ends, edges = random_graph(50, 400)
    mixed = torch.randperm(400, generator=torch.Generator().manual_seed(6))
    use_threads(3)

    found = COMPILED["gnn"](nodes, ends[:, mixed], edges[mixed])

    plain = NETWORKS["gnn"](nodes, ends, edges).detach()[mixed]
    torch.testing.assert_close(found, plain, **TOLERANCE)


def test_callers_at_the_same_time_do_not_mix(use_threads):
    graphs = [random_graph(100, 300, seed) for seed in range(8)]
    use_threads(1)
    alone = [COMPILED["gnn"](*graph) for graph in graphs]
    use_threads(3)

    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda graph: COMPILED["gnn"](*graph), graphs))

    assert all(map(torch.equal, found, alone))


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.Tanh(), nn.ReLU()], ids=str)
def test_activation_is_torchs_from_one_end_of_the_numbers_to_the_other(activation):
    layer = nn.Linear(1, 16)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    size = torch.logspace(-30, 25, 4_000)
    inf, nan = float("inf"), float("nan")
    x = torch.cat((size, -size, torch.linspace(-20, 20, 4_001)))
    x = torch.cat((x, torch.tensor([0.0, inf, nan])))[:, None]

    found = CompiledLayers(Mlp(layer, activation))(x)[:, 0]

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

    assert_computes(network, torch.randn(20, 3))


def test_torch_computes_where_there_are_no_kernels():
    network, other = NETWORKS["gnn"], nn.Linear(2, 2)

    assert executor_of(network, "cuda:0") is network
    assert executor_of(other, "cpu") is other


def test_a_pipeline_keeps_its_weights_until_told_that_they_changed(small_config):
    pipeline = Pipeline.untrained(small_config)
    points = pipeline.ordered(np.zeros((3, 3), np.float32))[1]
    before = pipeline.embed(points)

    pipeline.embedding.network[-1].weight.data.zero_()

    assert torch.equal(pipeline.embed(points), before)
    bias = pipeline.embedding.network[-1].bias
    assert (pipeline.with_current_weights().embed(points) == bias).all()


def test_points_without_edges_change_no_score(small_pipeline, features):
    points = small_pipeline.ordered(features(300))[1]
    edges = torch.tensor([[5, 9, 9], [2, 2, 5]])
    kept = torch.tensor([2, 5, 9])
    few = type(points)(*(getattr(points, k)[kept] for k in ("r", "phi", "z", "scaled")))

    alone = small_pipeline.gnn_logits(few, torch.tensor([[1, 2, 2], [0, 0, 1]]))

    assert torch.equal(small_pipeline.gnn_logits(points, edges), alone)
