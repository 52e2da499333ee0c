"""Inputs of the networks: quantities of space points and edges, from scaled r, phi, z.

All are computed in metres and radians, so that values are of order one whatever the
scale of the pipeline's input tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exatrkx_pipeline.config import EdgeInput, FeatureConfig, NodeInput
from exatrkx_pipeline.kernels.edge_inputs import QUANTITIES, Caps, write_edge_inputs
from exatrkx_pipeline.kernels.layout import Edges, Tile
from exatrkx_pipeline.kernels.threads import even_ranges, run_over

MM_PER_M = 1000.0
MIN_SPAN_M = 1e-3
"""Distances below a millimetre do not define a direction: slopes are capped there."""
MAX_CURVATURE = 10.0  # 1/m: a track of 60 MeV in 2 T, which crosses no three layers
MAX_Z0_M = 2.0

CAPS = Caps(*map(np.float32, (MIN_SPAN_M, MAX_CURVATURE, MAX_Z0_M)))


@dataclass(frozen=True, slots=True)
class Cylindrical:
    """Space points in metres and radians, each of shape (n_space_points,)."""

    r: Tensor
    phi: Tensor
    z: Tensor
    scaled: Tensor  #: the input tensor itself, shape (n_space_points, 3)
    eta: Tensor = field(init=False)  #: asinh(z / r), with r of a millimetre at least
    known_inputs: dict[object, Tensor] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )
    """Results of `node_inputs`: the networks take the same ones."""

    def __post_init__(self) -> None:
        eta = torch.asinh(self.z / self.r.clamp_min(MIN_SPAN_M))
        object.__setattr__(self, "eta", eta)

    @classmethod
    def of(cls, scaled: Tensor, features: FeatureConfig) -> Cylindrical:
        """Undo the scale of the input tensor."""
        r_scale, phi_scale, z_scale = features.scales
        r, phi, z = scaled.unbind(1)
        return cls(
            r * (r_scale / MM_PER_M), phi * phi_scale, z * (z_scale / MM_PER_M), scaled
        )

    def positions_mm(self) -> NDArray[np.float64]:
        """x, y, z in mm, shape (n_space_points, 3)."""
        r, phi, z = (
            column.cpu().numpy().astype(np.float64)
            for column in (self.r, self.phi, self.z)
        )
        xyz: NDArray[np.float64] = MM_PER_M * np.column_stack(
            (r * np.cos(phi), r * np.sin(phi), z)
        )
        return xyz


def node_inputs(points: Cylindrical, names: Sequence[NodeInput]) -> Tensor:
    """Columns for each space point, shape (n_space_points, len(names)), float32.

    ``r``, ``phi``, ``z`` are the scaled columns as they came (what the paper's networks
    take); ``cos_phi``, ``sin_phi`` have no jump at pi; ``eta`` is asinh(z / r).
    """
    if tuple(names) == ("r", "phi", "z"):
        return points.scaled
    # Tensors made in inference mode cannot be trained with.
    key = tuple(names), torch.is_inference_mode_enabled()
    if key not in points.known_inputs:
        columns = {
            "r": lambda: points.scaled[:, 0],
            "phi": lambda: points.scaled[:, 1],
            "z": lambda: points.scaled[:, 2],
            "cos_phi": lambda: torch.cos(points.phi),
            "sin_phi": lambda: torch.sin(points.phi),
            "eta": lambda: points.eta,
        }
        points.known_inputs[key] = torch.stack([columns[n]() for n in names], dim=1)
    return points.known_inputs[key]


def edge_inputs(
    points: Cylindrical, edge_index: Tensor, names: Sequence[EdgeInput]
) -> Tensor:
    """Columns for each edge, shape (n_edges, len(names)), float32.

    Differences are outer minus inner point (row minus column), angles wrapped to
    [-pi, pi]. ``curvature`` is that of the circle through the beam line and both
    points, 2 sin(dphi) / d_transverse, in 1/m; ``z0`` is where the straight line in r-z
    through both points meets the beam line, in m. Both are capped where the points are
    too close to define a direction.
    """
    if not names:
        return points.r.new_empty((edge_index.shape[1], 0))
    if points.r.device.type == "cpu" and set(names) <= set(QUANTITIES):
        return _edge_inputs_in_one_pass(points, edge_index, names)
    outer, inner = edge_index
    dr = _difference(points.r, outer, inner)
    dz = _difference(points.z, outer, inner)
    dphi = _difference(points.phi, outer, inner)
    dphi = torch.remainder(dphi + torch.pi, 2 * torch.pi) - torch.pi
    columns = {
        "dr": lambda: dr,
        "dphi": lambda: dphi,
        "dz": lambda: dz,
        "deta": lambda: _difference(points.eta, outer, inner),
        "curvature": lambda: _curvature(points.r[outer], points.r[inner], dphi),
        "z0": lambda: _z0(points.r[inner], points.z[inner], dr, dz),
    }
    return torch.stack([columns[name]() for name in names], dim=1)


def _edge_inputs_in_one_pass(
    points: Cylindrical, edge_index: Tensor, names: Sequence[EdgeInput]
) -> Tensor:
    """The same to the last bits, in a fifth of the time."""
    table = torch.stack((points.r, points.phi, points.z, points.eta), dim=1).numpy()
    edges = Edges(*edge_index.numpy())
    columns = np.array(
        [names.index(name) if name in names else -1 for name in QUANTITIES]
    )
    inputs = np.empty((len(edges.row), len(names)), np.float32)
    run_over(
        even_ranges(len(inputs), torch.get_num_threads()),
        lambda first, end: write_edge_inputs(
            Tile(first, end - first), table, edges, columns, CAPS, inputs
        ),
    )
    return torch.from_numpy(inputs)


def _difference(values: Tensor, outer: Tensor, inner: Tensor) -> Tensor:
    return values[outer] - values[inner]


def _curvature(r_outer: Tensor, r_inner: Tensor, dphi: Tensor) -> Tensor:
    # Law of cosines in a form without cancellation for nearby points.
    span2 = (r_outer - r_inner) ** 2 + 4 * r_outer * r_inner * torch.sin(dphi / 2) ** 2
    span = span2.sqrt().clamp_min(MIN_SPAN_M)
    return (2 * torch.sin(dphi) / span).clamp(-MAX_CURVATURE, MAX_CURVATURE)


def _z0(r_inner: Tensor, z_inner: Tensor, dr: Tensor, dz: Tensor) -> Tensor:
    steep = torch.where(
        dr.abs() < MIN_SPAN_M, torch.copysign(dr.new_tensor(MIN_SPAN_M), dr), dr
    )
    return (z_inner - r_inner * dz / steep).clamp(-MAX_Z0_M, MAX_Z0_M)
