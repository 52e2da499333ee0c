"""The whole chain, from scaled space points to a component number for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exatrkx_pipeline.graph.graph_construction import (
    MAX_EDGES,
    MAX_RADIUS_EDGES,
    joined_chunks,
    joined_edges,
    neighbours_within_events,
    require_few_edges,
)
from exatrkx_pipeline.graph.neighbours import EDGES_PER_CHUNK
from exatrkx_pipeline.kernels.threads import run_over
from exatrkx_pipeline.stages import StageClock, StageResults
from exatrkx_pipeline.stages.event_groups import (
    POINTS_TOGETHER,
    EventGroup,
    plan_groups,
    plan_shares,
)
from exatrkx_pipeline.stages.inputs import Cylindrical
from exatrkx_pipeline.stages.network_stages import NetworkStages
from exatrkx_pipeline.stages.track_candidates import track_candidates

EDGES_PER_POINT = 4
"""Edges filtered at once per point, so that work on the points costs little beside."""


@dataclass(frozen=True, slots=True)
class Pipeline(NetworkStages):
    """The whole chain over three networks.

    Every call is independent: an instance may serve several threads. The labels of an
    event do not depend on the events that are computed with it.
    """

    max_edges: int = MAX_EDGES
    """Most edges of an event after the filter."""

    max_radius_edges: int = MAX_RADIUS_EDGES
    """Most pairs of an event within the radius."""

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
            than `max_radius_edges` pairs are within the radius, or more than
            `max_edges` of them pass the filter.
        """
        return self.labels_of([features], clock)[0]

    def labels_of(
        self,
        events: Sequence[NDArray[np.float32]],
        clock: StageClock | None = None,
    ) -> list[NDArray[np.int64]]:
        """`labels` of each event; small events are computed together.

        Groups of small events are shared out among torch's threads; a large event uses
        them all.

        Neighbours are searched within each event. The networks take the graphs of a
        group as one, and on the CPU an edge's result does not depend on others: labels
        are those of `labels`. TorchScript networks get events one by one.

        Raises
        ------
        ValueError
            As `labels` does, if any event is wrong.
        """
        clock = clock or StageClock()
        sizes = [len(event) for event in events]
        groups = list(plan_groups(sizes, 0 if self.has_script else POINTS_TOGETHER))
        labels: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(events)

        def compute(first: int, end: int) -> None:
            for group in groups[first:end]:
                members = slice(group.start, group.stop)
                labels[members] = self._labels_together(events[members], clock)

        for shares in plan_shares(groups, sizes, torch.get_num_threads()):
            run_over(shares, compute)
        return labels

    def _labels_together(
        self, events: Sequence[NDArray[np.float32]], clock: StageClock
    ) -> list[NDArray[np.int64]]:
        group = EventGroup.of(events, self.config.features, self.device)
        edges = self._filtered_edges(group, clock)
        return group.labels(self._tracks(group, edges, clock)[0])

    def run(self, features: NDArray[np.float32]) -> StageResults:
        """`labels` and the edges after each stage, which takes more memory.

        Raises
        ------
        ValueError
            As `labels` does.
        """
        group = EventGroup.of([features], self.config.features, self.device)
        points, order, clock = group.points, group.orders[0], StageClock()
        chunks = list(self._radius_edges(group, clock))
        n_points = len(points.r)
        edges = joined_edges(
            [self._above_cut(points, chunk, clock) for chunk in chunks], n_points
        )
        components, scores = self._tracks(group, edges, clock)
        return StageResults(
            labels=group.labels(components)[0],
            radius_edges=order[joined_edges(chunks, n_points).cpu().numpy()],
            filtered_edges=order[edges.cpu().numpy()],
            edge_scores=scores,
            seconds=clock.seconds,
        )

    def ordered(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], Cylindrical]:
        """Space points sorted outward, on the device, as the stages take them.

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
        group = EventGroup.of([features], self.config.features, self.device)
        return group.orders[0], group.points

    def _radius_edges(self, group: EventGroup, clock: StageClock) -> Iterator[Tensor]:
        with clock.measure("embedding"):
            embedded = self.embed(group.points)
        edges = neighbours_within_events(
            embedded, group.splits, self.config.graph.r_val, self.max_radius_edges
        )
        return clock.measured("neighbours", edges)

    def _filtered_edges(self, group: EventGroup, clock: StageClock) -> Tensor:
        kept: list[Tensor] = []
        points, n_points = group.points, len(group.points.r)
        at_once = max(EDGES_PER_CHUNK, EDGES_PER_POINT * n_points)
        for chunk in joined_chunks(self._radius_edges(group, clock), at_once):
            kept.append(self._above_cut(points, chunk, clock))
            require_few_edges(kept, group.splits, self.max_edges)
        return joined_edges(kept, n_points)

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
        self, group: EventGroup, edges: Tensor, clock: StageClock
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        edges = edges.to(self.device)  # without any edges they are on the CPU
        with clock.measure("gnn"):
            scores = torch.sigmoid(self.gnn_logits(group.points, edges)).cpu().numpy()
        with clock.measure("track_building"):
            components = track_candidates(
                edges.cpu().numpy(),
                scores,
                group.points,
                group.splits,
                building=self.config.track_building,
                refinement=self.config.refinement,
            )
        return components, scores
