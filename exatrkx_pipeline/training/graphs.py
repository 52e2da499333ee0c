"""Graphs with labels: what the filter and the GNN are trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from exatrkx_pipeline.config import EdgeInput, NodeInput
from exatrkx_pipeline.graph.neighbours import radius_graph
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.stages.inputs import Cylindrical, edge_inputs, node_inputs
from exatrkx_pipeline.training.events import NOISE, TrainingEvent, true_edges
from exatrkx_pipeline.training.targets import Targets


@dataclass(frozen=True, slots=True)
class LabelledGraph:
    """Edges of one event with truth and with what each counts in the loss.

    Edges of target particles that are not consecutive count nothing; those of particles
    too soft to be targets are false.
    """

    points: Cylindrical
    edge_index: Tensor  #: (2, n_edges), int64
    label: Tensor  #: (n_edges,), float32: 1 = consecutive points of one target
    weight: Tensor  #: (n_edges,), float32: 1 for false edges, else see `Targets`

    def thinned(self, max_edges: int, rng: np.random.Generator) -> LabelledGraph:
        """All true edges and a random share of the others, which then count for more.

        The expected loss stays the same; a graph of at most `max_edges` stays whole.
        """
        n_edges = len(self.label)
        if n_edges <= max_edges:
            return self
        true, share = self.label > 0, max_edges / n_edges
        kept = true | torch.from_numpy(rng.random(n_edges) < share)
        return LabelledGraph(
            self.points,
            self.edge_index[:, kept],
            self.label[kept],
            torch.where(true, self.weight, self.weight / share)[kept],
        )


@torch.no_grad()
def build_graph(
    event: TrainingEvent,
    pipeline: Pipeline,
    targets: Targets,
    *,
    is_filtered: bool = False,
) -> LabelledGraph:
    """The radius graph of an event, or its edges above the filter's cut, with labels.

    The weights are those that the pipeline was made with.
    """
    config = pipeline.config
    points = Cylindrical.of(
        torch.from_numpy(event.scaled(config.features)), config.features
    )
    edges = radius_graph(pipeline.embed(points).numpy(), config.graph.r_val)
    if is_filtered:
        edges = pipeline.above_cut(points, torch.from_numpy(edges)).numpy()
    label, weight = _label(event, edges, targets)
    return LabelledGraph(
        points,
        torch.from_numpy(edges),
        torch.from_numpy(label),
        torch.from_numpy(weight),
    )


def _label(
    event: TrainingEvent, edges: NDArray[np.int64], targets: Targets
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    n = len(event)
    true = true_edges(event)
    consecutive = np.isin(edges[0] * n + edges[1], true[0] * n + true[1])
    particle = event.particle[edges]
    same = (particle[0] == particle[1]) & (particle[0] != NOISE)
    pt_gev = event.pt_gev[edges[0]]
    of_target = same & targets.include(pt_gev)
    label = consecutive & of_target
    weight = np.where(of_target, 0.0, 1.0).astype(np.float32)
    weight[label] = targets.weights(pt_gev[label])
    return label.astype(np.float32), weight


def edge_loss(
    network: nn.Module,
    graph: LabelledGraph,
    node_names: tuple[NodeInput, ...],
    edge_names: tuple[EdgeInput, ...],
    *,
    true_weight: float,
    bfloat16: bool = False,
) -> Tensor:
    """Weighted binary cross-entropy of a network over one graph.

    True edges count `true_weight` times what the graph says. With `bfloat16` the
    network runs in that precision, the loss does not.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = network(
            node_inputs(graph.points, node_names),
            graph.edge_index,
            edge_inputs(graph.points, graph.edge_index, edge_names),
        ).float()
    weight = torch.where(graph.label > 0, true_weight * graph.weight, graph.weight)
    loss = binary_cross_entropy_with_logits(
        logits, graph.label, weight=weight, reduction="sum"
    )
    return loss / weight.sum().clamp_min(1.0)


def graphs_ahead(
    batches: Iterator[list[TrainingEvent]],
    build: Callable[[TrainingEvent], LabelledGraph],
) -> Iterator[list[LabelledGraph]]:
    """Graphs of each batch, the next one built while the last is being trained on.

    The neighbour search runs outside Python's lock, so one thread hides most of it.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(lambda batch: [build(e) for e in batch], next(batches))
        for batch in batches:
            ready = ahead.result()
            ahead = pool.submit(lambda batch: [build(e) for e in batch], batch)
            yield ready
