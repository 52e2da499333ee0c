"""Import of the paper's networks into a weights directory.

TorchScript (``embed.pt``, ``filter.pt``, ``gnn.pt`` of exatrkx-service) is kept and run
as it is. A GNN that is the paper's `ResAGNN`, as TorchScript or as a state dictionary,
is recognised, and becomes tensors for our own network.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import (
    FEATURE_NAMES,
    FeatureConfig,
    GnnConfig,
    GraphConfig,
    PipelineConfig,
    TorchScriptEmbedding,
    TorchScriptFilter,
    TorchScriptGnn,
    TrackBuildingConfig,
)
from exatrkx_pipeline.errors import WeightsError
from exatrkx_pipeline.networks.res_agnn import ResAGNN
from exatrkx_pipeline.networks.torchscript import (
    ScriptedEdgeNetwork,
    ScriptedEmbedding,
    load_script,
    sha256_of,
)
from exatrkx_pipeline.pipeline import Pipeline
from sonic_base import decoding

MAX_ITERATIONS = 16
"""Largest number of message passing iterations that is tried for a TorchScript GNN."""

LOGIT_TOLERANCE = 5e-4
"""Largest difference of two float32 implementations: exatrkx-service on a GPU and on a
CPU differ by 1.7e-4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """Values that the files of the networks do not contain. There are no defaults."""

    features: FeatureConfig
    graph: GraphConfig
    filter_cut: float
    track_building: TrackBuildingConfig
    n_graph_iters: int | None = None
    """Iterations of the GNN; needed for a state dictionary, which does not have it."""


def import_networks(embed: Path, edge_filter: Path, gnn: Path, cuts: Cuts) -> Pipeline:
    """Build the pipeline of three files, ready to be saved.

    Parameters
    ----------
    embed, edge_filter : Path
        TorchScript: ``(n, 3) -> (n, dim)`` and ``(n, 3), (2, n_edges) -> logits``.
    gnn : Path
        TorchScript of the second form, or a state dictionary of `ResAGNN`.
    cuts : Cuts

    Raises
    ------
    WeightsError
        If a file is none of these; the message names it.
    """
    n_features = len(cuts.features.names)
    embedding = load_script(embed)
    with torch.inference_mode():
        dim = embedding(torch.zeros(1, n_features)).shape[1]
    embedding_config = TorchScriptEmbedding(
        torchscript="embed.pt", sha256=sha256_of(embed), dim=dim
    )
    filter_config = TorchScriptFilter(
        torchscript="filter.pt",
        sha256=sha256_of(edge_filter),
        filter_cut=cuts.filter_cut,
    )
    network, gnn_config = _read_gnn(gnn, cuts.n_graph_iters)
    config = PipelineConfig(
        features=cuts.features,
        embedding=embedding_config,
        graph=cuts.graph,
        filter=filter_config,
        gnn=gnn_config,
        track_building=cuts.track_building,
    )
    return Pipeline(
        config,
        ScriptedEmbedding(embedding, embed, dim),
        ScriptedEdgeNetwork(load_script(edge_filter), edge_filter),
        network,
    )


def recognise_res_agnn(
    state: Mapping[str, Tensor], n_graph_iters: int
) -> ResAGNN | None:
    """`ResAGNN` with these tensors; None if names or shapes are not its own.

    The number of iterations leaves no trace in them, since all share one network.
    """
    first = state.get("input_network.0.weight")
    if first is None or first.ndim != 2:
        return None
    hidden, n_inputs = first.shape
    if n_inputs != len(FEATURE_NAMES):
        return None
    n_node = _count_linear(state, "input_network")
    n_edge = _count_linear(state, "edge_network.network") - 1
    if n_node < 1 or n_edge < 1:
        return None
    config = GnnConfig(
        architecture="ResAGNN",
        node_inputs=FEATURE_NAMES,
        edge_inputs=(),
        hidden=hidden,
        n_graph_iters=n_graph_iters,
        n_edge_layers=n_edge,
        n_node_layers=n_node,
    )
    network = ResAGNN(config)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    if shapes != {name: tensor.shape for name, tensor in network.state_dict().items()}:
        return None
    network.load_state_dict(dict(state))
    return network.eval()


def _read_gnn(
    file: Path, n_graph_iters: int | None
) -> tuple[nn.Module, GnnConfig | TorchScriptGnn]:
    if _is_torchscript(file):
        script = load_script(file)
        network = _equal_res_agnn(script, n_graph_iters)
        if network is not None:
            return network, network.config
        scripted = TorchScriptGnn(torchscript="gnn.pt", sha256=sha256_of(file))
        return ScriptedEdgeNetwork(script, file), scripted
    state = _read_state(file)
    if n_graph_iters is None:
        raise WeightsError(
            f"{file}: a state dictionary does not say how many iterations the GNN "
            "does: set n_graph_iters in table [gnn] of the configuration"
        )
    network = recognise_res_agnn(state, n_graph_iters)
    if network is None:
        raise WeightsError(
            f"{file}: expected TorchScript, or the tensors of ResAGNN "
            f"(input_network.*, edge_network.network.*, node_network.network.*), got "
            f"{', '.join(sorted(state)[:3])}, ..."
        )
    return network, network.config


def _equal_res_agnn(
    script: torch.jit.ScriptModule, n_graph_iters: int | None
) -> ResAGNN | None:
    """Return our network if it answers a random graph as the script does."""
    state = dict(script.state_dict())
    tried = range(1, MAX_ITERATIONS + 1) if n_graph_iters is None else [n_graph_iters]
    nodes, edge_index = _random_graph()
    with torch.inference_mode():
        expected = script(nodes, edge_index).reshape(-1)
        for iterations in tried:
            network = recognise_res_agnn(state, iterations)
            if network is None:
                return None
            found = network(nodes, edge_index, nodes.new_empty((len(expected), 0)))
            if torch.allclose(found, expected, rtol=0.0, atol=LOGIT_TOLERANCE):
                return network
    return None


def _random_graph() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    nodes = torch.rand((60, len(FEATURE_NAMES)), generator=generator)
    row, col = torch.tril_indices(60, 60, offset=-1)
    chosen = torch.randperm(len(row), generator=generator)[:300]
    return nodes, torch.stack((row[chosen], col[chosen]))


def _count_linear(state: Mapping[str, Tensor], prefix: str) -> int:
    pattern = re.compile(rf"{re.escape(prefix)}\.\d+\.weight")
    return sum(
        tensor.ndim == 2 for name, tensor in state.items() if pattern.fullmatch(name)
    )


def _is_torchscript(file: Path) -> bool:
    try:
        if not zipfile.is_zipfile(file):
            return False  # the old format of torch.save
    except OSError as error:
        raise WeightsError(f"{file}: cannot read: {error.strerror or error}") from error
    with (
        decoding(lambda reason: WeightsError(f"{file}: damaged archive: {reason}")),
        zipfile.ZipFile(file) as archive,
    ):
        return any("/code/" in name for name in archive.namelist())


def _read_state(file: Path) -> dict[str, Tensor]:
    """Tensors by name, from `torch.save`; nothing but tensors is unpickled."""
    what = f"{file}: neither TorchScript nor plain tensors"
    with decoding(lambda reason: WeightsError(f"{what}: {reason}")):
        document = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(document, Mapping):
        document = document.get("state_dict", document)  # of a training checkpoint
    if not isinstance(document, Mapping) or not all(
        isinstance(tensor, Tensor) for tensor in document.values()
    ):
        raise WeightsError(f"{file}: expected a dictionary of tensors")
    return dict(document)
