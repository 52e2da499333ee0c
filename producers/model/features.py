"""Node features: scaled cylindrical coordinates, and the way back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sonic_base import ConfigError

__all__ = ["FEATURE_NAMES", "FeatureScale", "node_features", "positions"]

FEATURE_NAMES = ("r", "phi", "z")


@dataclass(frozen=True, slots=True)
class FeatureScale:
    """Divisors of the cylindrical coordinates, in mm, rad and mm.

    They belong to the trained weights, so there is no default.

    Raises
    ------
    ConfigError
        If a divisor is not a positive number.
    """

    r_mm: float
    phi_rad: float
    z_mm: float

    def __post_init__(self) -> None:
        for divisor in (self.r_mm, self.phi_rad, self.z_mm):
            if not (math.isfinite(divisor) and divisor > 0.0):
                raise ConfigError(
                    f"feature scales must be positive numbers, got {self}"
                )

    def __str__(self) -> str:
        return f"{self.r_mm:g} mm, {self.phi_rad:g} rad, {self.z_mm:g} mm"

    @property
    def divisors(self) -> tuple[float, float, float]:
        """In the order of the features: mm, rad, mm."""
        return (self.r_mm, self.phi_rad, self.z_mm)

    @classmethod
    def from_parameters(cls, model: str, parameters: Mapping[str, str]) -> Self:
        """Read the scale that a served model declares.

        Parameters
        ----------
        model : str
            Name of the model, for the message.
        parameters : mapping of str to str
            The model's parameters: ``feature_names`` is ``r,phi,z``, and
            ``feature_scales`` the three divisors in mm, rad, mm.

        Raises
        ------
        ConfigError
            If a parameter is missing, or has another value.
        """
        names = _listed(model, parameters, "feature_names")
        if names != list(FEATURE_NAMES):
            raise ConfigError(
                f"model {model!r} takes the features {','.join(names)}, "
                f"this producer makes {','.join(FEATURE_NAMES)}"
            )
        texts = _listed(model, parameters, "feature_scales")
        try:
            r_mm, phi_rad, z_mm = map(float, texts)
        except ValueError as error:
            raise ConfigError(
                f"model {model!r}: parameter 'feature_scales': "
                f"expected three numbers, got {','.join(texts)!r}"
            ) from error
        return cls(r_mm=r_mm, phi_rad=phi_rad, z_mm=z_mm)


def _listed(model: str, parameters: Mapping[str, str], name: str) -> list[str]:
    if name not in parameters:
        raise ConfigError(
            f"model {model!r} declares no parameter {name!r}; "
            "the features cannot be scaled without it"
        )
    return [part.strip() for part in parameters[name].split(",")]


def node_features(
    xyz: NDArray[np.floating], scale: FeatureScale
) -> NDArray[np.float32]:
    """Scaled cylindrical coordinates of space points: the input of the embedding.

    Parameters
    ----------
    xyz : ndarray, shape (n_space_points, 3), floating
        Global Cartesian positions in mm, beam along z.
    scale : FeatureScale
        Divisors in mm, rad, mm. They belong to the trained weights, so there is
        no default: read them from the model's metadata.

    Returns
    -------
    ndarray, shape (n_space_points, 3), float32
        Columns r, phi, z over `scale`, dimensionless. Row i is space point i;
        zero space points give shape (0, 3). Computed in float64.

    Raises
    ------
    ValueError
        If `xyz` has another shape, or a value that is not finite.

    Notes
    -----
    Column order: exatrkx-iml2020, ``notebooks/inference_fn.py``.
    """
    _require_points(xyz)
    x, y, z = np.ascontiguousarray(xyz.T, dtype=np.float64)
    features = np.empty(xyz.shape, dtype=np.float32)
    # Not hypot, whose care for overflow costs five times as much: squares of float32
    # do not overflow in float64.
    features[:, 0] = np.sqrt(x * x + y * y) / scale.r_mm
    features[:, 1] = np.arctan2(y, x) / scale.phi_rad
    features[:, 2] = z / scale.z_mm
    return features


def positions(
    features: NDArray[np.floating], scale: FeatureScale
) -> NDArray[np.float32]:
    """Cartesian positions of space points, from their features.

    Parameters
    ----------
    features : ndarray, shape (n_space_points, 3), floating
        Columns r, phi, z over `scale`.
    scale : FeatureScale
        The divisors that made the features.

    Returns
    -------
    ndarray, shape (n_space_points, 3), float32
        x, y, z in mm.

    Raises
    ------
    ValueError
        If `features` has another shape, or a value that is not finite.
    """
    _require_points(features)
    r, phi, z = (features.astype(np.float64) * scale.divisors).T
    return np.column_stack((r * np.cos(phi), r * np.sin(phi), z)).astype(np.float32)


def _require_points(array: NDArray[np.floating]) -> None:
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"expected shape (n_space_points, 3), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("expected finite numbers, got NaN or infinity")
