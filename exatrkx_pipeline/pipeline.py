"""The whole chain, from scaled space points to a component number for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exatrkx_pipeline.compact_graph import CompactGraph
from exatrkx_pipeline.config import (
    FilterConfig,
    GnnConfig,
    PipelineConfig,
    TorchScriptConfig,
    TorchScriptGnn,
)
from exatrkx_pipeline.event_groups import POINTS_TOGETHER, plan_groups
from exatrkx_pipeline.inputs import Cylindrical, edge_inputs, node_inputs
from exatrkx_pipeline.networks import build_networks
from exatrkx_pipeline.ordering import outward_order
from exatrkx_pipeline.radius_edges import joined_chunks, radius_edge_chunks
from exatrkx_pipeline.stages import StageClock, StageResults
from exatrkx_pipeline.torchscript import ScriptedNetwork
from exatrkx_pipeline.track_building import build_tracks, number_by_first_appearance


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Three networks and the configuration they were trained for.

    Every call is independent: an instance may serve several threads. An event's labels
    do not depend on what it came with.
    """

    config: PipelineConfig
    embedding: nn.Module
    edge_filter: nn.Module
    gnn: nn.Module
    weights_id: str = "untrained"
    max_edges: int = 10_000_000
    """Most edges after the filter: at 64 floats each, 2.6 GB of states in the GNN."""

    device: str = "cpu"
    """Where networks and edges are, in torch's words; see `to`. Tracks are always
    built on the CPU."""

    @classmethod
    def untrained(cls, config: PipelineConfig) -> Pipeline:
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

    def to(self, device: str) -> Pipeline:
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

    def labels(
        self, features: NDArray[np.float32], clock: StageClock | None = None
    ) -> NDArray[np.int64]:
        """Component number of each space point.

        Parameters
        ----------
        features : ndarray, shape (n_space_points, 3), float32
            r, phi, z over the scales of `config.features`. Not modified.
        clock : StageClock, optional
            Receives the time of each stage.

        Returns
        -------
        ndarray, shape (n_space_points,), int64
            Numbers 0, 1, ... in order of first appearance; a point on no track has a
            number of its own. Zero points give shape (0,). As a partition it does not
            depend on the order of the points.

        Raises
        ------
        ValueError
            If `features` has another shape or a value that is not finite, or if more
            than `max_edges` edges pass the filter.
        """
        return self.labels_of([features], clock)[0]

    def labels_of(
        self,
        events: Sequence[NDArray[np.float32]],
        clock: StageClock | None = None,
    ) -> list[NDArray[np.int64]]:
        """`labels` of each event; small events are computed together.

        Neighbours are searched within each event. The graphs stand side by side in the
        networks, where on the CPU an edge is computed as if it were alone: labels are
        those of `labels`. TorchScript networks get events one by one.

        Raises
        ------
        ValueError
            As `labels` does, if any event is wrong.
        """
        clock = clock or StageClock()
        together = 0 if self.has_script else POINTS_TOGETHER
        labels: list[NDArray[np.int64]] = []
        for group in plan_groups([len(event) for event in events], together):
            labels += self._labels_together([events[i] for i in group], clock)
        return labels

    def _labels_together(
        self, events: Sequence[NDArray[np.float32]], clock: StageClock
    ) -> list[NDArray[np.int64]]:
        sorted_events = [self.ordered(event) for event in events]
        points = Cylindrical.joined([points for _, points in sorted_events])
        splits = np.cumsum([0, *map(len, events)])
        edges = self._filtered_edges(points, splits, clock)
        components = np.split(self._tracks(points, edges, clock)[0], splits[1:-1])
        return [
            in_input_order(own, order)
            for own, (order, _) in zip(components, sorted_events, strict=True)
        ]

    @property
    def has_script(self) -> bool:
        """Whether a network is TorchScript."""
        networks = self.networks.values()
        return any(isinstance(network, ScriptedNetwork) for network in networks)

    def run(self, features: NDArray[np.float32]) -> StageResults:
        """`labels`, with the edges after each stage: for evaluation, at more memory.

        Raises
        ------
        ValueError
            As `labels` does.
        """
        order, points = self.ordered(features)
        clock = StageClock()
        whole = np.array([0, len(order)])
        chunks = list(self._radius_edges(points, whole, clock))
        edges = _joined([self._above_cut(points, chunk, clock) for chunk in chunks])
        components, scores = self._tracks(points, edges, clock)
        return StageResults(
            labels=in_input_order(components, order),
            radius_edges=order[_joined(chunks).cpu().numpy()],
            filtered_edges=order[edges.cpu().numpy()],
            edge_scores=scores,
            seconds=clock.seconds,
        )

    def ordered(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], Cylindrical]:
        """Space points sorted outward, on the device: what the stages below take.

        Parameters
        ----------
        features : ndarray, shape (n_space_points, 3), float32
            As in `labels`.

        Returns
        -------
        order : ndarray, shape (n_space_points,), int64
            Index in `features` of each sorted point.
        points : Cylindrical

        Raises
        ------
        ValueError
            If `features` has another shape or a value that is not finite.
        """
        features = np.asarray(features, dtype=np.float32)
        n_features = len(self.config.features.names)
        if features.ndim != 2 or features.shape[1] != n_features:
            raise ValueError(
                f"features: expected shape (n_space_points, {n_features}), "
                f"got {features.shape}"
            )
        if not np.isfinite(features).all():
            bad = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
            raise ValueError(f"features: space point {bad} is not finite")
        order = outward_order(features, self.config.features)
        scaled = torch.from_numpy(features[order]).to(self.device)
        return order, Cylindrical.of(scaled, self.config.features)

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

    def _radius_edges(
        self, points: Cylindrical, splits: NDArray[np.int64], clock: StageClock
    ) -> Iterator[Tensor]:
        """Edges within each event, whose points are those from split to split."""
        with clock.measure("embedding"):
            embedded = self.embed(points)
        for start, stop in pairwise(splits.tolist()):
            chunks = radius_edge_chunks(embedded[start:stop], self.config.graph.r_val)
            while True:
                with clock.measure("neighbours"):
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                yield chunk + start if start else chunk

    def _filtered_edges(
        self, points: Cylindrical, splits: NDArray[np.int64], clock: StageClock
    ) -> Tensor:
        # Chunk by chunk: the raw graph, several times larger, is never whole.
        kept, n_edges = [], 0
        for chunk in joined_chunks(self._radius_edges(points, splits, clock)):
            kept.append(self._above_cut(points, chunk, clock))
            n_edges += kept[-1].shape[1]
            if n_edges > self.max_edges:
                raise ValueError(
                    f"event of {len(points.r)} space points is too dense for these "
                    f"weights: more than {self.max_edges} edges pass the filter; use "
                    "weights that were trained for such events"
                )
        return _joined(kept)

    def _above_cut(
        self, points: Cylindrical, edges: Tensor, clock: StageClock
    ) -> Tensor:
        with clock.measure("filter"):
            kept = self.above_cut(points, edges)
        clock.count("radius_edges", edges.shape[1])
        clock.count("filtered_edges", kept.shape[1])
        return kept

    @torch.inference_mode()
    def _tracks(
        self, points: Cylindrical, edges: Tensor, clock: StageClock
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        edges = edges.to(self.device)  # no chunk has said where they belong: no edges
        with clock.measure("gnn"):
            scores = torch.sigmoid(self.gnn_logits(points, edges)).cpu().numpy()
        with clock.measure("track_building"):
            components = build_tracks(
                edges.cpu().numpy(), scores, len(points.r), self.config.track_building
            )
        return components, scores


def apply_filter(logits: Tensor, filter_cut: float) -> Tensor:
    """Which edges score strictly above the cut: sigmoid(logit) > `filter_cut`."""
    return torch.sigmoid(logits) > filter_cut


def in_input_order(
    components: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Labels of the points as they came, from the components of the sorted ones."""
    labels = np.empty_like(components)
    labels[order] = components
    return number_by_first_appearance(labels)


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


def _joined(chunks: list[Tensor]) -> Tensor:
    if not chunks:
        return torch.empty((2, 0), dtype=torch.int64)
    return chunks[0] if len(chunks) == 1 else torch.cat(chunks, dim=1)
