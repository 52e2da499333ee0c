"""Units of length in files of events and truth; everything else is in mm."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sonic_base import ConfigError, nearest_names

__all__ = ["MM_PER_UNIT", "LengthUnit", "checked_unit", "in_mm"]

LengthUnit: TypeAlias = Literal["mm", "cm", "m", "um"]

MM_PER_UNIT: dict[LengthUnit, float] = {"mm": 1.0, "cm": 10.0, "m": 1e3, "um": 1e-3}


def checked_unit(unit: str) -> LengthUnit:
    """Return the unit of this name.

    Raises
    ------
    ConfigError
        If there is no such unit; names the nearest.
    """
    for known in get_args(LengthUnit):
        if unit == known:
            name: LengthUnit = known
            return name
    raise ConfigError(
        f"unknown unit of length {unit!r}, {nearest_names(unit, MM_PER_UNIT)}"
    )


def in_mm(lengths: NDArray[np.float32], unit: str) -> NDArray[np.float32]:
    """Return the lengths in mm, a copy unless they are.

    Raises
    ------
    ConfigError
        If there is no such unit.
    """
    mm_per_unit = MM_PER_UNIT[checked_unit(unit)]
    if mm_per_unit == 1.0:
        return lengths
    # In double precision, so that there is one rounding.
    return (lengths.astype(np.float64) * mm_per_unit).astype(np.float32)
