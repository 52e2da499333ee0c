"""The columns of a file that hold the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Self

from producers.model.units import LengthUnit, checked_unit
from sonic_base import ConfigError, config_from_mapping, config_from_toml

__all__ = ["TruthMapping"]

VERTEX = ("vx", "vy", "vz")
MOMENTUM = ("px", "py", "pz")
PT_ETA_PHI = ("pt", "eta", "phi")


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthMapping:
    """Names of the columns that hold the particles, and the particle of each point.

    Columns are lists, one per event; or numbers, one per space point or particle, in
    a table whose rows have the number of their event.

    Raises
    ------
    ConfigError
        If a name is empty, the vertex or the momentum is named in part, neither charge
        nor PDG id is named, or a unit is unknown.
    """

    tree: str | None = None
    """Tree with the particle of each space point. Not needed if only one has it."""

    point_particle: str
    """Id of the particle of each space point, an integer, in the order of the space
    points; 0 or negative where it is on none. Without `id`, the position of the
    particle in its event, from zero; negative where it is on none."""

    event: str | None = None
    """Number of the event; without it, events are numbered by their entry."""

    particles: str | None = None
    """Tree of the particles. Not needed if only one has them."""

    particle_event: str | None = None
    """Number of the event in the tree of particles; by default the column `event`, if
    that tree has it, or else entry by entry."""

    id: str | None = None
    """Id of each particle, an integer."""

    vx: str | None = None
    vy: str | None = None
    vz: str | None = None
    """Production vertex. Without it, particles count wherever they were produced."""

    px: str | None = None
    py: str | None = None
    pz: str | None = None
    """Momentum."""

    pt: str | None = None
    eta: str | None = None
    phi: str | None = None
    """Momentum in other coordinates, the azimuth in rad, instead of px, py, pz."""

    q: str | None = None
    """Charge in e."""

    pdg: str | None = None
    """PDG id, from which the charge follows if there is no `q`."""

    unit: LengthUnit = "mm"
    """Unit of the vertex."""

    momentum_unit: Literal["GeV", "MeV"] = "GeV"

    def __post_init__(self) -> None:
        checked_unit(self.unit)
        if self.momentum_unit not in ("GeV", "MeV"):
            raise ConfigError(
                f"momentum_unit must be GeV or MeV, got {self.momentum_unit!r}"
            )
        if "" in (getattr(self, entry.name) for entry in fields(self)):
            raise ConfigError("the names of trees and of columns must not be empty")
        for keys in (VERTEX, MOMENTUM, PT_ETA_PHI):
            given = [key for key in keys if getattr(self, key) is not None]
            if given and len(given) < len(keys):
                raise ConfigError(
                    f"{', '.join(keys)} come together, got {', '.join(given)} alone"
                )
        if (self.px is None) == (self.pt is None):
            raise ConfigError("the momentum needs px, py, pz or pt, eta, phi")
        if self.q is None and self.pdg is None:
            raise ConfigError(
                "the charge of the particles needs q, or pdg from which it follows"
            )

    @property
    def numbers(self) -> dict[str, str]:
        """Columns of the particles that are read, without their ids, by key."""
        keys = (*VERTEX, *MOMENTUM, *PT_ETA_PHI, "pdg" if self.q is None else "q")
        named = {key: getattr(self, key) for key in keys}
        return {key: name for key, name in named.items() if name is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Build the mapping from plain values.

        Raises
        ------
        ConfigError
            If a key is unknown or missing, or its value is wrong.
        """
        return config_from_mapping(cls, values, where="truth")

    @classmethod
    def from_toml(cls, path: Path | str, *, table: str = "truth") -> Self:
        """Read the mapping from one table of a TOML file.

        Raises
        ------
        ConfigError
            If the file or an entry is wrong; the message names the nearest keys.
        """
        return config_from_toml(cls, path, table=table)
