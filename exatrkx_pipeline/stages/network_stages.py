"""The networks of a pipeline as stages: inputs made, and the executor chosen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
from exatrkx_pipeline.networks.build import build_networks
from exatrkx_pipeline.networks.torchscript import ScriptedNetwork
from exatrkx_pipeline.stages.compiled_networks import Executor, executor_of
from exatrkx_pipeline.stages.inputs import Cylindrical, edge_inputs, node_inputs

NETWORK_NAMES = ("embedding", "edge_filter", "gnn")
"""Names that the networks' tensors carry in a weights file."""


@dataclass(frozen=True, slots=True)
class NetworkStages:
    """Networks, the configuration they were trained for, and where they compute.

    On the CPU the compiled kernels compute, with a copy of the weights that is made
    with the object: see `with_current_weights`. On other devices torch computes.
    """

    config: PipelineConfig
    embedding: nn.Module
    edge_filter: nn.Module
    gnn: nn.Module
    weights_id: str = "untrained"
    device: str = "cpu"
    """Where networks and edges are, in torch's words; see `to`. Tracks are always
    built on the CPU."""

    executors: dict[str, Executor] = field(init=False, repr=False, compare=False)
    """Executor of each of `networks`, by the same names."""

    def __post_init__(self) -> None:
        executors = {
            name: executor_of(network, self.device)
            for name, network in self.networks.items()
        }
        object.__setattr__(self, "executors", executors)

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
        """The three networks by `NETWORK_NAMES`."""
        networks = (self.embedding, self.edge_filter, self.gnn)
        return dict(zip(NETWORK_NAMES, networks, strict=True))

    def to(self, device: str) -> Self:
        """The same on a device such as ``cuda:0``; the networks are moved there.

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

    def with_current_weights(self) -> Self:
        """The same with the weights that the networks have now.

        Call it after training or changing a network: the kernels' copy of the weights
        does not follow.
        """
        return replace(self)

    @property
    def has_script(self) -> bool:
        """Whether a network is TorchScript."""
        networks = self.networks.values()
        return any(isinstance(network, ScriptedNetwork) for network in networks)

    @torch.inference_mode()
    def embed(self, points: Cylindrical) -> Tensor:
        """Coordinates in the embedding space, shape (n_space_points, dim)."""
        inputs = node_inputs(points, self.config.embedding.node_inputs)
        return self.executors["embedding"](inputs)

    @torch.inference_mode()
    def filter_logits(self, points: Cylindrical, edge_index: Tensor) -> Tensor:
        """Logits of the edge filter, shape (n_edges,); row > column, points sorted."""
        return _edge_logits(
            self.executors["edge_filter"], self.config.filter, points, edge_index
        )

    @torch.inference_mode()
    def above_cut(self, points: Cylindrical, edge_index: Tensor) -> Tensor:
        """The edges that pass the filter, in their order."""
        logits = self.filter_logits(points, edge_index)
        return edge_index[:, apply_filter(logits, self.config.filter.filter_cut)]

    @torch.inference_mode()
    def gnn_logits(self, points: Cylindrical, edge_index: Tensor) -> Tensor:
        """Logits of the GNN, shape (n_edges,), for all edges of the event at once."""
        gnn, config = self.executors["gnn"], self.config.gnn
        if isinstance(config, TorchScriptGnn):  # takes the event as it is
            return _edge_logits(gnn, config, points, edge_index)
        graph = CompactGraph.of(edge_index, points.phi)
        logits = gnn(
            node_inputs(points, config.node_inputs)[graph.nodes],
            graph.edge_index,
            edge_inputs(points, edge_index[:, graph.order], config.edge_inputs),
        )
        return graph.as_given(logits)


def apply_filter(logits: Tensor, filter_cut: float) -> Tensor:
    """Whether each edge scores strictly above the cut: sigmoid(logit) > cut."""
    return torch.sigmoid(logits) > filter_cut


def _edge_logits(
    executor: Executor,
    config: FilterConfig | GnnConfig | TorchScriptConfig,
    points: Cylindrical,
    edge_index: Tensor,
) -> Tensor:
    return executor(
        node_inputs(points, config.node_inputs),
        edge_index,
        edge_inputs(points, edge_index, config.edge_inputs),
    )
