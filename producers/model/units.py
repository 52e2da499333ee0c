"""Units of length in files of events and truth; everything else is in mm."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from sonic_base import ConfigError, nearest_names

__all__ = ["MM_PER_UNIT", "LengthUnit", "checked_unit"]

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
