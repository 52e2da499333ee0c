"""The whole chain, from scaled space points to a component number for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

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
    checked_features,
    plan_groups,
    plan_shares,
)
from exatrkx_pipeline.stages.inputs import Cylindrical
from exatrkx_pipeline.stages.network_stages import NetworkStages
from exatrkx_pipeline.stages.track_candidates import track_candidates
from sonic_base.input_range import (
    InputCheck,
    InputRange,
    InputRangeError,
    event_density,
)

EDGES_PER_POINT = 4
"""Edges filtered at once per point, so that work on the points costs little beside."""


@dataclass(frozen=True, slots=True)
class Pipeline(NetworkStages):
    """The whole chain over three networks.

    Every call is independent: an instance may serve several threads. The labels of an
    event do not depend on the events that are computed with it.
    """

    input_check: InputCheck | None = None
    """Refuses events that are far from those of the training; None lets all pass."""

    denser: DenserEvents | None = None
    """The pipeline for events that are too dense for this one, if there is one."""

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
        InputRangeError
            If the event is far from all that the weights were trained on; it is a
            ValueError.
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
        InputRangeError, ValueError
            As `labels` does, if any event is wrong.
        """
        clock = clock or StageClock()
        n_features = len(self.config.features.names)
        events = [checked_features(event, n_features) for event in events]
        chosen = [self.for_event(event) for event in events]
        for number, (event, pipeline) in enumerate(zip(events, chosen, strict=True)):
            try:
                pipeline.require_known(event)
            except InputRangeError as error:
                if len(events) == 1:
                    raise
                raise error.of_event(number) from None
        if all(pipeline is self for pipeline in chosen):
            return self._labels_of(events, clock)
        labels: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(events)
        for pipeline in {id(each): each for each in chosen}.values():
            own = [i for i, each in enumerate(chosen) if each is pipeline]
            found = pipeline._labels_of([events[i] for i in own], clock)
            for i, each in zip(own, found, strict=True):
                labels[i] = each
        return labels

    def for_event(self, features: NDArray[np.float32]) -> Pipeline:
        """Return the pipeline that finds the tracks of this event.

        That is this one itself, unless it has another for denser events.

        Parameters
        ----------
        features : ndarray, shape (n_space_points, 3), float32
            As in `labels`.
        """
        if self.denser is None:
            return self
        r, phi, z = (features.astype(np.float64) * self.config.features.scales).T
        if event_density(r, phi, z) <= self.denser.above:
            return self
        return self.denser.pipeline.for_event(features)

    def require_known(self, features: NDArray[np.float32]) -> None:
        """Refuse an event that is far from all that these weights were trained on.

        Raises
        ------
        InputRangeError
            The message names the likely cause.
        """
        if self.input_check is not None:
            self.input_check.require(features)

    @property
    def input_range(self) -> InputRange | None:
        """The range of the training events, of those for denser events too.

        None if it is not known, or is not to be checked.
        """
        if self.input_check is None:
            return None
        own = self.input_check.range
        others = None if self.denser is None else self.denser.pipeline.input_range
        return own if others is None else own.hull(others)

    def with_checks(self, check: Callable[[InputCheck], InputCheck | None]) -> Self:
        """Return the same with other checks of the input, for denser events too.

        Parameters
        ----------
        check : callable
            Takes the check that is there and returns the other, None for none.
        """
        own = self.input_check and check(self.input_check)
        if self.denser is None:
            return replace(self, input_check=own)
        others = self.denser.pipeline.with_checks(check)
        denser = replace(self.denser, pipeline=others)
        return replace(self, input_check=own, denser=denser)

    def with_limits(self, *, max_radius_edges: int, max_edges: int) -> Self:
        """Return the same with these limits, for denser events too."""
        denser = self.denser
        if denser is not None:
            limited = denser.pipeline.with_limits(
                max_radius_edges=max_radius_edges, max_edges=max_edges
            )
            denser = replace(denser, pipeline=limited)
        return replace(
            self, denser=denser, max_radius_edges=max_radius_edges, max_edges=max_edges
        )

    def to(self, device: str) -> Self:
        """As `NetworkStages.to`; the pipeline for denser events is moved, too."""
        moved = NetworkStages.to(self, device)
        if self.denser is None:
            return moved
        others = self.denser.pipeline.to(device)
        return replace(moved, denser=replace(self.denser, pipeline=others))

    def _labels_of(
        self, events: Sequence[NDArray[np.float32]], clock: StageClock
    ) -> list[NDArray[np.int64]]:
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

        The event is not compared with those of the training, and a pipeline for denser
        events is not asked: see `for_event`.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DenserEvents:
    """A pipeline for dense events, and the density from which it takes them."""

    above: float
    """See `sonic_base.input_range.event_density`."""

    pipeline: Pipeline
    """Takes the same features over the same scales."""
