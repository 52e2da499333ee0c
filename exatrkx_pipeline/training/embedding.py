"""Metric learning: pull a particle's consecutive points together, push others apart."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn

from exatrkx_pipeline.config import PipelineConfig
from exatrkx_pipeline.stages.inputs import Cylindrical, node_inputs
from exatrkx_pipeline.training.events import NOISE, TrainingEvent, true_edges
from exatrkx_pipeline.training.targets import Targets

QUERY_POINTS = 1500
"""Points per event whose neighbours are searched: bounds an untrained, dense space."""
MAX_NEIGHBOURS = 100
RANDOM_PAIRS_PER_POINT = 1
MARGIN = 1.2
"""False pairs are pushed beyond this many radii: true ones are cut at one."""
TRUE_WEIGHT = 8.0
TINY = 1e-12  # the square root has no derivative at zero


def embedding_loss(
    network: nn.Module,
    event: TrainingEvent,
    config: PipelineConfig,
    targets: Targets,
    rng: np.random.Generator,
) -> Tensor:
    """Contrastive loss of one event.

    True pairs (consecutive points of a particle) pay the square of their distance, in
    radii, and linearly beyond one: a few pairs far apart in the detector must not
    outweigh all others. Pairs of different particles, found within the radius or drawn
    at random, pay what they lack to the margin, squared. Other pairs of one particle
    pay nothing.
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
