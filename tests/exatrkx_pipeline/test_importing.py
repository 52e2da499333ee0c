"""Networks of the paper's kind, as TorchScript and as state dictionaries."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from exatrkx_pipeline.config import (
    FeatureConfig,
    GnnConfig,
    GraphConfig,
    TorchScriptGnn,
    TrackBuildingConfig,
)
from exatrkx_pipeline.errors import PipelineConfigError, WeightsError
from exatrkx_pipeline.networks.res_agnn import ResAGNN
from exatrkx_pipeline.networks.torchscript import sha256_of
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.weights.importing import Cuts, import_networks
from exatrkx_pipeline.weights.storage import load_weights, save_weights, weights_files

# How TorchScript files are made; torch would rather make others, but still reads them.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

NODES = ("r", "phi", "z")
GNN = GnnConfig(
    architecture="ResAGNN",
    node_inputs=NODES,
    edge_inputs=(),
    hidden=8,
    n_graph_iters=3,
    n_edge_layers=2,
    n_node_layers=2,
)
CUTS = Cuts(
    features=FeatureConfig(names=NODES, scales=(3000.0, math.pi, 400.0)),
    graph=GraphConfig(r_val=0.3),
    filter_cut=0.3,
    track_building=TrackBuildingConfig(method="components", score_cut=0.4),
)


class PaperFilter(nn.Module):
    """As exatrkx-service calls it: logits of shape (n_edges, 1)."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 1)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.cat([x[edges[0]], x[edges[1]]], dim=1))


class PaperGnn(nn.Module):
    """`ResAGNN` as the paper writes it: without our shortcuts, with its names."""

    def __init__(self, network: ResAGNN, n_graph_iters: int):
        super().__init__()
        self.input_network = nn.Sequential(*network.input_network)
        self.edge_network = nn.Module()
        self.edge_network.network = nn.Sequential(*network.edge_network.network)
        self.node_network = nn.Module()
        self.node_network.network = nn.Sequential(*network.node_network.network)
        self.n_graph_iters = n_graph_iters

    def forward(self, x_in: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        row, col = edges[0], edges[1]
        x = torch.cat([self.input_network(x_in), x_in], dim=1)
        for _ in range(self.n_graph_iters):
            e = torch.sigmoid(self.edge_network.network(torch.cat([x[row], x[col]], 1)))
            message = torch.zeros_like(x).index_add(0, col, e * x[row])
            message = message.index_add(0, row, e * x[col])
            update = self.node_network.network(torch.cat([message, x], dim=1))
            x = x + torch.cat([update, x_in], dim=1)
        return self.edge_network.network(torch.cat([x[row], x[col]], 1)).squeeze(1)


def scripted(module, file):
    # Tracing, which follows the values, would freeze the number of edges.
    x, edges = torch.rand(5, 3), torch.tensor([[1, 2, 3, 4], [0, 0, 1, 2]])
    inputs = (x,) if isinstance(module, nn.Sequential) else (x, edges)
    torch.jit.save(torch.jit.trace(module.eval(), inputs), str(file))
    return file


@pytest.fixture
def gnn():
    torch.manual_seed(3)
    return ResAGNN(GNN).eval()


@pytest.fixture
def files(tmp_path, gnn):
    torch.manual_seed(4)
    return {
        "embed": scripted(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), tmp_path / "e.pt"),
        "edge_filter": scripted(PaperFilter(), tmp_path / "f.pt"),
        "gnn": scripted(PaperGnn(gnn, 3), tmp_path / "g.pt"),
    }


@pytest.fixture
def unknown_weights(files, tmp_path):
    """Weights with programs, as somebody else gives them."""
    pipeline = import_networks(**files, cuts=CUTS)
    return save_weights(tmp_path / "weights", pipeline, training={}, scores={})


@pytest.fixture
def weights(unknown_weights, monkeypatch):
    """The same, whose programs the user trusts."""
    hashes = [sha256_of(file) for file in unknown_weights.glob("*.pt")]
    monkeypatch.setenv("SONIC_TRUST_TORCHSCRIPT", ", ".join(hashes))
    return unknown_weights


@pytest.mark.parametrize("trusted", ["", "0" * 64, "*"])
def test_a_program_runs_only_if_its_hash_is_trusted(
    unknown_weights, monkeypatch, trusted
):
    monkeypatch.setenv("SONIC_TRUST_TORCHSCRIPT", trusted)
    monkeypatch.setattr(torch.jit, "load", lambda *_args, **_kw: pytest.fail("it ran"))
    wanted = sha256_of(unknown_weights / "embed.pt")

    with pytest.raises(WeightsError, match=f"--trust-torchscript {wanted}"):
        load_weights(unknown_weights)


def test_scripts_travel_with_the_weights_and_give_the_labels_they_gave(
    files, weights, features
):
    event = features(200)
    expected = import_networks(**files, cuts=CUTS).labels(event)
    for file in files.values():
        file.unlink()

    loaded = load_weights(weights)

    np.testing.assert_array_equal(loaded.labels(event), expected)
    assert 1 < len(set(expected)) < 200  # some edges passed all cuts
    assert [file.name for file in weights_files(weights)] == [
        "embed.pt",
        "filter.pt",
        "model.safetensors",
        "config.toml",
    ]


@pytest.mark.parametrize("n_points", [0, 1, 2])
def test_scripts_are_not_asked_about_nothing(weights, features, n_points):
    assert load_weights(weights).labels(features(n_points)).shape == (n_points,)


def test_gnn_of_the_paper_becomes_our_own_with_its_iterations_found(files, gnn):
    pipeline = import_networks(**files, cuts=CUTS)

    assert pipeline.config.gnn == GNN
    assert isinstance(pipeline.gnn, ResAGNN)
    for name, tensor in gnn.state_dict().items():
        assert torch.equal(pipeline.gnn.state_dict()[name], tensor)


def test_gnn_that_answers_otherwise_stays_torchscript(files, tmp_path, gnn):
    class Negative(PaperGnn):
        def forward(self, x_in, edges):
            return -super().forward(x_in, edges)

    files["gnn"] = scripted(Negative(gnn, 3), tmp_path / "negative.pt")

    pipeline = import_networks(**files, cuts=CUTS)

    assert isinstance(pipeline.config.gnn, TorchScriptGnn)


@pytest.mark.parametrize("wrap", [dict, lambda state: {"state_dict": state}])
def test_state_dictionary_becomes_our_own_network(files, tmp_path, gnn, wrap):
    files["gnn"] = tmp_path / "state.pt"
    torch.save(wrap(gnn.state_dict()), files["gnn"])
    cuts = Cuts(
        features=CUTS.features,
        graph=CUTS.graph,
        filter_cut=0.3,
        track_building=CUTS.track_building,
        n_graph_iters=3,
    )

    pipeline = import_networks(**files, cuts=cuts)

    assert pipeline.config.gnn == GNN


def test_state_dictionary_needs_the_number_of_iterations(files, tmp_path, gnn):
    files["gnn"] = tmp_path / "state.pt"
    torch.save(gnn.state_dict(), files["gnn"])

    with pytest.raises(WeightsError, match="set n_graph_iters"):
        import_networks(**files, cuts=CUTS)


def test_other_tensors_are_named(files, tmp_path):
    files["gnn"] = tmp_path / "state.pt"
    torch.save({"layer.weight": torch.zeros(2, 2)}, files["gnn"])
    cuts = Cuts(
        features=CUTS.features,
        graph=CUTS.graph,
        filter_cut=0.3,
        track_building=CUTS.track_building,
        n_graph_iters=3,
    )

    with pytest.raises(WeightsError, match=r"tensors of ResAGNN .*got layer\.weight"):
        import_networks(**files, cuts=cuts)


class Exploit:
    """Would run code when it is unpickled."""

    def __reduce__(self):
        return (print, ("code ran",))


def test_pickled_code_is_not_run(files, tmp_path, capsys):
    files["gnn"] = tmp_path / "state.pt"
    torch.save({"layer.weight": Exploit()}, files["gnn"])

    with pytest.raises(WeightsError, match="neither TorchScript nor plain tensors"):
        import_networks(**files, cuts=CUTS)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("part", ["embed", "edge_filter", "gnn"])
def test_file_that_is_no_network_is_named(files, part):
    files[part].write_bytes(b"not a network")

    with pytest.raises(WeightsError, match=files[part].name):
        import_networks(**files, cuts=CUTS)


def test_script_that_was_changed_is_refused(weights, files):
    (weights / "embed.pt").write_bytes(files["edge_filter"].read_bytes())

    with pytest.raises(WeightsError, match=r"embed\.pt is not the file that was imp"):
        load_weights(weights)


def test_script_must_be_in_the_directory_of_the_weights(weights):
    config = weights / "config.toml"
    config.write_text(config.read_text().replace('"embed.pt"', '"../e.pt"'))

    with pytest.raises(WeightsError, match="must be the name of a file"):
        load_weights(weights)


def test_scripts_cannot_be_made_untrained(weights):
    with pytest.raises(PipelineConfigError, match=r"embed\.pt is TorchScript"):
        Pipeline.untrained(load_weights(weights).config)
