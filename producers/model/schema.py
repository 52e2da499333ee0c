"""The columns of a file that hold the space points: configured, or recognised."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from producers.model.units import LengthUnit, checked_unit
from sonic_base import ConfigError, config_from_mapping, config_from_toml

__all__ = ["RECOGNISED_LAYOUTS", "ColumnMapping", "nearly_recognised", "recognised"]


COORDINATES = ("x", "y", "z", "r", "phi", "position")

CARTESIAN, POLAR = ("x", "y", "z"), ("r", "phi", "z")
SYSTEMS = (CARTESIAN, POLAR, ("position",))
"""The keys that give a position together."""

MEMBERS = (
    ("fCoordinates.fX", "fCoordinates.fY", "fCoordinates.fZ"),
    ("fX", "fY", "fZ"),
    ("x", "y", "z"),
)
"""Members of vectors: of ROOT::Math, of TVector3, of records and EDM4hep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMapping:
    """Names of the columns that hold space points.

    Columns of an RNTuple's records are written with a dot: ``sp.x``.

    Raises
    ------
    ConfigError
        If a name is empty, the coordinates are neither x, y, z nor r, phi, z nor a
        position, two of them are one column, or the unit is unknown.
    """

    tree: str | None = None
    """Name of the TTree or RNTuple, with its folder if it is in one. Not needed if the
    file has only one, nor for files without trees."""

    x: str | None = None
    y: str | None = None
    z: str | None = None
    """Cartesian coordinates, beam along z."""

    r: str | None = None
    phi: str | None = None
    """Distance from the beam line, and azimuth in rad: instead of x and y."""

    position: str | None = None
    """Vectors with members x, y, z instead of three columns, such as a branch of
    ``vector<ROOT::Math::XYZVectorF>`` or ``vector<TVector3>``, or records."""

    unit: LengthUnit = "mm"
    """Unit of the lengths: ``mm``, ``cm``, ``m`` or ``um``."""

    event: str | None = None
    """Number of the event, an integer per entry. ``header/number`` is the column
    ``number`` of the tree ``header``, which has as many entries. Without it, events are
    numbered by their entry in the file."""

    volume: str | None = None
    layer: str | None = None
    module: str | None = None
    """Detector element of each space point; read only if named."""

    def __post_init__(self) -> None:
        checked_unit(self.unit)
        if "" in (getattr(self, entry.name) for entry in fields(self)):
            raise ConfigError("the names of a tree and of columns must not be empty")
        given = [name for name in COORDINATES if getattr(self, name) is not None]
        if set(given) not in map(set, SYSTEMS):
            listed = "; or ".join(map(", ".join, SYSTEMS))
            raise ConfigError(
                f"the positions need the columns {listed}; "
                f"got {', '.join(given) or 'none of them'}"
            )
        if len(set(self.coordinates)) < 3:
            first, second, last = POLAR if self.is_polar else CARTESIAN
            raise ConfigError(
                f"{first}, {second} and {last} must be three columns, "
                "got {!r}, {!r} and {!r}".format(*self.coordinates)
            )

    @property
    def coordinates(self) -> tuple[str, str, str]:
        """Columns of x, y and z; or of r, phi and z."""
        if self.position is not None:
            x, y, z = (f"{self.position}.{axis}" for axis in "xyz")
            return x, y, z
        first, second = (self.r, self.phi) if self.is_polar else (self.x, self.y)
        return first or "", second or "", self.z or ""

    @property
    def is_polar(self) -> bool:
        """Whether the coordinates are r, phi and z."""
        return self.r is not None

    def resolved(self, columns: Collection[str]) -> Self:
        """Return the mapping with x, y, z in place of `position`.

        Parameters
        ----------
        columns : collection of str
            Columns of the tree. If none is such a member, the mapping is returned as it
            is, and its `coordinates` are missing columns.
        """
        for members in MEMBERS:
            x, y, z = (f"{self.position}.{member}" for member in members)
            if self.position is not None and {x, y, z} <= set(columns):
                return replace(self, position=None, x=x, y=y, z=z)
        return self

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
