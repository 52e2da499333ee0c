"""The columns of a file that hold the space points: configured, or recognised."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from producers.model.units import LengthUnit, checked_unit
from sonic_base import ConfigError, config_from_mapping, config_from_toml

__all__ = ["RECOGNISED_LAYOUTS", "ColumnMapping", "nearly_recognised", "recognised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMapping:
    """Names of the columns that hold space points.

    Columns of an RNTuple's records are written with a dot: ``sp.x``.

    Raises
    ------
    ConfigError
        If a name is empty, two coordinates have the same, or the unit is unknown.
    """

    tree: str | None = None
    """Name of the TTree or RNTuple, with its folder if it is in one. Not needed if the
    file has only one, nor for files without trees."""

    x: str
    y: str
    z: str
    """Cartesian coordinates, beam along z."""

    unit: LengthUnit = "mm"
    """Unit of the coordinates: ``mm``, ``cm``, ``m`` or ``um``."""

    event: str | None = None
    """Number of the event, an integer per entry. Without it, events are numbered by
    their entry in the file."""

    volume: str | None = None
    layer: str | None = None
    module: str | None = None
    """Detector element of each space point; read only if named."""

    def __post_init__(self) -> None:
        checked_unit(self.unit)
        names = (self.x, self.y, self.z)
        optional = (self.tree, self.event, self.volume, self.layer, self.module)
        if not all(names) or "" in optional:
            raise ConfigError("the names of a tree and of columns must not be empty")
        if len({self.x, self.y, self.z}) < 3:
            raise ConfigError(
                "x, y and z must be three columns, "
                f"got {self.x!r}, {self.y!r} and {self.z!r}"
            )

    @property
    def coordinates(self) -> tuple[str, str, str]:
        """Columns of x, y and z."""
        return (self.x, self.y, self.z)

    @property
    def detector(self) -> dict[str, str]:
        """Columns of the detector elements, by kind: those that are named."""
        named = {"volume": self.volume, "layer": self.layer, "module": self.module}
        return {kind: column for kind, column in named.items() if column is not None}

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of the coordinates and the detector elements."""
        return (*self.coordinates, *self.detector.values())

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        event = () if self.event is None else (self.event,)
        return (*event, *self.numbers)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Build the mapping from plain values.

        Raises
        ------
        ConfigError
            If a key is unknown or missing, or its value is wrong.
        """
        return config_from_mapping(cls, values, where="columns")

    @classmethod
    def from_toml(cls, path: Path | str, *, table: str = "columns") -> Self:
        """Read the mapping from one table of a TOML file.

        Raises
        ------
        ConfigError
            If the file or an entry is wrong; the message names the nearest keys.
        """
        return config_from_toml(cls, path, table=table)


RECOGNISED_LAYOUTS = (
    ColumnMapping(tree="events", event="event", x="sp_x", y="sp_y", z="sp_z"),
    ColumnMapping(tree="events", event="event", x="sp.x", y="sp.y", z="sp.z"),
)
"""Columns that are recognised: as a TTree, and as an RNTuple."""


def recognised(tree: str | None, columns: Collection[str]) -> ColumnMapping | None:
    """Return the layout whose columns are all in a tree, or None.

    The tree may have any name, and other columns.
    """
    for layout in RECOGNISED_LAYOUTS:
        if set(layout.columns) <= set(columns):
            return replace(layout, tree=tree)
    return None


def nearly_recognised(tables: Mapping[str, Collection[str]]) -> ColumnMapping | None:
    """Return the layout that one of the trees was probably meant to have, or None.

    The pair of layout and tree with the most coordinates in common wins, then the one
    with the most similar names, then the one whose tree has a similar name.

    Parameters
    ----------
    tables : mapping of str to collection of str
        Columns of each tree.
    """
    best, nearest = (0, 0, 0), None
    for known in RECOGNISED_LAYOUTS:
        for tree, columns in tables.items():
            likeness = (
                sum(name in columns for name in known.coordinates),
                sum(_is_like_one_of(name, columns) for name in known.coordinates),
                int(_is_like_one_of(known.tree or "", [tree])),
            )
            if likeness > best:
                best, nearest = likeness, replace(known, tree=tree)
    return nearest


def _is_like_one_of(name: str, names: Collection[str]) -> bool:
    # One letter in four may differ: sp_q is like sp_x, but sp_index and px are not.
    return bool(get_close_matches(name, names, n=1, cutoff=0.7))
