"""The losses of the three networks, and the labelled graphs that two of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from exatrkx_pipeline.config import EdgeInput, NodeInput, PipelineConfig
from exatrkx_pipeline.graph.neighbours import radius_graph
from exatrkx_pipeline.pipeline import Pipeline
from exatrkx_pipeline.stages.inputs import Cylindrical, edge_inputs, node_inputs
from exatrkx_pipeline.training.events import NOISE, TrainingEvent, true_edges
from exatrkx_pipeline.training.recipe import Targets

QUERY_POINTS = 1500
"""Points per event whose neighbours are searched: a bound for the untrained embedding,
which is dense."""
MAX_NEIGHBOURS = 100
RANDOM_PAIRS_PER_POINT = 1
MARGIN = 1.2
"""False pairs are pushed beyond this many radii; the cut is at one."""
TRUE_WEIGHT = 8.0
TINY = 1e-12  # the square root has no derivative at zero


def embedding_loss(
    network: nn.Module,
    event: TrainingEvent,
    config: PipelineConfig,
    targets: Targets,
    rng: np.random.Generator,
) -> Tensor:
    """Return the contrastive loss of one event.

    True pairs (consecutive points of a particle) cost the square of their distance in
    radii, and beyond one radius a linear function of it, so that a few pairs far apart
    in the detector do not outweigh all others. Pairs of different particles, found
    within the radius or drawn at random, cost the square of what they lack to the
    margin. Other pairs of one particle cost nothing.
    """
    points = Cylindrical.of(
        torch.from_numpy(event.scaled(config.features)), config.features
    )
    embedded = network(node_inputs(points, config.embedding.node_inputs))
    true = true_edges(event)
    false = _false_pairs(embedded.detach().numpy(), event, config.graph.r_val, rng)

    weight = torch.from_numpy(targets.weights(event.pt_gev[true[0]]))
    r_val = config.graph.r_val
    distance = (_distance2(embedded, true) + TINY).sqrt() / r_val
    robust = torch.where(distance < 1.0, distance.square(), 2.0 * distance - 1.0)
    pull = (weight * robust).sum() / weight.sum().clamp_min(1.0)
    gap = MARGIN - (_distance2(embedded, false) + TINY).sqrt() / r_val
    push = gap.clamp_min(0.0).square().sum() / max(min(len(event), QUERY_POINTS), 1)
    loss: Tensor = TRUE_WEIGHT * pull + push
    return loss


def _distance2(embedded: Tensor, pairs: NDArray[np.int64]) -> Tensor:
    first, second = torch.from_numpy(pairs)
    offset = embedded.index_select(0, first) - embedded.index_select(0, second)
    squares: Tensor = torch.square(offset).sum(1)
    return squares


def _false_pairs(
    embedded: NDArray[np.float32],
    event: TrainingEvent,
    r_val: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    n = len(event)
    query = rng.choice(n, min(n, QUERY_POINTS), replace=False)
    _, near = cKDTree(embedded).query(
        embedded[query], k=min(n, MAX_NEIGHBOURS), distance_upper_bound=MARGIN * r_val
    )
    near = near.reshape(len(query), -1)
    found = near < n  # scipy fills up with n
    first = np.concatenate(
        (
            np.broadcast_to(query[:, None], near.shape)[found],
            rng.integers(0, n, RANDOM_PAIRS_PER_POINT * n),
        )
    )
    second = np.concatenate(
        (near[found], rng.integers(0, n, RANDOM_PAIRS_PER_POINT * n))
    )
    particle = event.particle
    false = (particle[first] != particle[second]) | (particle[first] == NOISE)
    false &= first != second
    return np.stack((first[false], second[false]))


@dataclass(frozen=True, slots=True)
class LabelledGraph:
    """Edges of one event with their truth and their weight in the loss.

    Edges between points of a target particle that are not consecutive have no weight.
    Edges of particles that are too soft to be targets are false.
    """

    points: Cylindrical
    edge_index: Tensor  #: (2, n_edges), int64
    label: Tensor  #: (n_edges,), float32: 1 = consecutive points of one target
    weight: Tensor  #: (n_edges,), float32: 1 for false edges, else see `Targets`

    def thinned(self, max_edges: int, rng: np.random.Generator) -> LabelledGraph:
        """Return all true edges and a random share of the others, with larger weights.

        The expected loss stays the same. A graph of at most `max_edges` is unchanged.
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
    """Return the labelled radius graph, or its part above the filter's cut.

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
    """Return the weighted binary cross-entropy of a network over one graph.

    True edges count `true_weight` times their weight in the graph. With `bfloat16` the
    network runs in that precision; the loss does not.
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
    """Yield the graphs of each batch, and build the next ones in the meantime.

    The neighbour search runs outside Python's lock, so one thread hides most of it.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(lambda batch: [build(e) for e in batch], next(batches))
        for batch in batches:
            ready = ahead.result()
            ahead = pool.submit(lambda batch: [build(e) for e in batch], batch)
            yield ready
