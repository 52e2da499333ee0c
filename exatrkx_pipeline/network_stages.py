"""The three networks of a pipeline, called on space points that are sorted outward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import (
    FilterConfig,
    GnnConfig,
    PipelineConfig,
    TorchScriptConfig,
    TorchScriptGnn,
)
from exatrkx_pipeline.graph.compact_graph import CompactGraph
from exatrkx_pipeline.inputs import Cylindrical, edge_inputs, node_inputs
from exatrkx_pipeline.networks.build import build_networks
from exatrkx_pipeline.torchscript import ScriptedNetwork


@dataclass(frozen=True, slots=True)
class NetworkStages:
    """Networks, the configuration they were trained for, and where they compute."""

    config: PipelineConfig
    embedding: nn.Module
    edge_filter: nn.Module
    gnn: nn.Module
    weights_id: str = "untrained"
    device: str = "cpu"
    """Where networks and edges are, in torch's words; see `to`. Tracks are always
    built on the CPU."""

    @classmethod
    def untrained(cls, config: PipelineConfig) -> Self:
        """Networks of the configured sizes with random weights, in evaluation mode.

        Raises
        ------
        PipelineConfigError
            If a network is TorchScript: its weights are in its file.
        """
        return cls(config, *build_networks(config))

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The three networks by the name that their tensors carry in a checkpoint."""
        return {
            "embedding": self.embedding,
            "edge_filter": self.edge_filter,
            "gnn": self.gnn,
        }

    def to(self, device: str) -> Self:
        """The pipeline on a device such as ``cuda:0``; its networks are moved there.

        Raises
        ------
        ValueError
            If torch does not know the device, or has none of that kind here.
        """
        try:
            for network in self.networks.values():
                network.to(device)
        except (RuntimeError, AssertionError) as error:  # torch raises either
            raise ValueError(f"device {device!r}: {error}") from error
        return replace(self, device=device)

    @property
    def has_script(self) -> bool:
        """Whether a network is TorchScript."""
        networks = self.networks.values()
        return any(isinstance(network, ScriptedNetwork) for network in networks)

    @torch.inference_mode()
    def embed(self, points: Cylindrical) -> Tensor:
        """Coordinates in the embedding space, shape (n_space_points, dim)."""
        inputs = node_inputs(points, self.config.embedding.node_inputs)
        embedded: Tensor = self.embedding(inputs)
        return embedded

    @torch.inference_mode()
    def filter_logits(self, points: Cylindrical, edge_index: Tensor) -> Tensor:
        """Logits of the edge filter, shape (n_edges,); row > column, points sorted."""
        return _edge_logits(self.edge_filter, self.config.filter, points, edge_index)

    @torch.inference_mode()
    def above_cut(self, points: Cylindrical, edge_index: Tensor) -> Tensor:
        """The edges that pass the filter, in their order."""
        logits = self.filter_logits(points, edge_index)
        return edge_index[:, apply_filter(logits, self.config.filter.filter_cut)]

    @torch.inference_mode()
    def gnn_logits(self, points: Cylindrical, edge_index: Tensor) -> Tensor:
        """Logits of the GNN, shape (n_edges,), for all edges of the event at once."""
        if isinstance(self.config.gnn, TorchScriptGnn):  # takes the event as it is
            return _edge_logits(self.gnn, self.config.gnn, points, edge_index)
        graph = CompactGraph.of(edge_index, points.phi)
        logits: Tensor = self.gnn(
            node_inputs(points, self.config.gnn.node_inputs)[graph.nodes],
            graph.edge_index,
            edge_inputs(
                points, edge_index[:, graph.order], self.config.gnn.edge_inputs
            ),
        )
        return graph.as_given(logits)


def apply_filter(logits: Tensor, filter_cut: float) -> Tensor:
    """Which edges score strictly above the cut: sigmoid(logit) > `filter_cut`."""
    return torch.sigmoid(logits) > filter_cut


def _edge_logits(
    network: nn.Module,
    config: FilterConfig | GnnConfig | TorchScriptConfig,
    points: Cylindrical,
    edge_index: Tensor,
) -> Tensor:
    logits: Tensor = network(
        node_inputs(points, config.node_inputs),
        edge_index,
        edge_inputs(points, edge_index, config.edge_inputs),
    )
    return logits
