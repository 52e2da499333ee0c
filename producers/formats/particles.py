"""Particles and their ids, from the columns of several formats."""

from __future__ import annotations

from collections.abc import Sequence, Sized

import numpy as np
from numpy.typing import NDArray

from producers.io.location import Location
from producers.io.tables import Lists
from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.truth import Particles
from producers.model.types import AnyArray
from sonic_base import ConfigError

PARTICLE_COLUMNS = ("vx", "vy", "vz", "px", "py", "pz", "q")
"""Names of the columns of `particles_from` in most formats."""

NO_MEASUREMENT = 2**64 - 1
"""In files of ACTS: a space point has no second measurement."""

BARCODE_BITS = (12, 12, 16, 8, 16)
"""Bits of the five parts of ACTS' particle ids, when they were one number
(ActsFatras, Barcode)."""


def particles_from(
    path: Location, particle_id: NDArray[np.uint64], columns: Sequence[AnyArray]
) -> Particles:
    """Return particles from columns of one length.

    Parameters
    ----------
    path : Path or str
    particle_id : ndarray, shape (n_particles,), uint64
    columns : sequence of ndarray, shape (n_particles,), number
        The vertex vx, vy, vz in mm, the momentum px, py, pz in GeV, the charge in e.

    Raises
    ------
    UnequalEventsError
        If the columns have different lengths.
    """
    require_one_length(path, "particles", (particle_id, *columns))
    vx, vy, vz, px, py, pz, charge = (each.astype(np.float32) for each in columns)
    return Particles(
        particle_id=particle_id,
        vertex_mm=np.column_stack((vx, vy, vz)),
        momentum_gev=np.column_stack((px, py, pz)),
        charge=charge,
    )


def require_one_length(path: Location, what: str, columns: Sequence[Sized]) -> None:
    """Refuse columns of different lengths.

    Raises
    ------
    UnequalEventsError
        The message names the file, and `what` the columns hold.
    """
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        listed = ", ".join(map(str, sorted(lengths)))
        raise UnequalEventsError(
            f"{path}: columns of {what} have unequal lengths: {listed}"
        )


def require_equal_counts(path: Location, what: str, lists: Sequence[Lists]) -> None:
    """Refuse columns of lists whose lengths differ in an entry.

    Raises
    ------
    UnequalEventsError
        The message names the file, and `what` the columns hold.
    """
    if any(not np.array_equal(each.counts, lists[0].counts) for each in lists):
        raise UnequalEventsError(f"{path}: columns of {what} have unequal lengths")


def charges_of(pdg: AnyArray) -> NDArray[np.float64]:
    """Return the charges in e of particles by their PDG ids.

    0 where the numbering scheme has no such id.

    Raises
    ------
    ConfigError
        If the package particle is not installed.

    Notes
    -----
    Review of Particle Physics, "Monte Carlo particle numbering scheme", as the package
    particle of Scikit-HEP reads it.
    """
    try:
        from particle import PDGID  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            "charges from PDG ids need the package particle: "
            "pip install 'sonic-tracking[simulation]'"
        ) from error
    ids, place = np.unique(pdg, return_inverse=True)
    charges = [float(PDGID(number).charge or 0.0) for number in ids.tolist()]
    return np.array(charges, dtype=np.float64)[place]


def as_particle_ids(path: Location, values: AnyArray) -> NDArray[np.uint64]:
    """Return the ids of particles as uint64.

    Raises
    ------
    SchemaError
        If they are floating point, in which ids above 2^53 are no longer distinct.
    """
    if values.dtype.kind not in "iu":
        raise SchemaError(path, "particle ids must be integers, got floating point")
    return values.astype(np.uint64, copy=False)


def packed(
    path: Location, parts: Sequence[AnyArray], bits: Sequence[int]
) -> NDArray[np.uint64]:
    """Return one number made of several, the first in the highest bits.

    Raises
    ------
    UnequalEventsError
        If the parts have different lengths.
    SchemaError
        If a number does not fit its bits.
    """
    require_one_length(path, "the parts of an id", parts)
    result = np.zeros(len(parts[0]), dtype=np.uint64)
    for values, width in zip(parts, bits, strict=True):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < 1 << width:
            raise SchemaError(
                path,
                f"part of a particle's id: {values.max()} does not fit {width} bits",
            )
        result = (result << np.uint64(width)) | values.astype(np.uint64)
    return result


def shared_particle(
    first: Sequence[NDArray[np.uint64]], second: Sequence[NDArray[np.uint64] | None]
) -> NDArray[np.uint64]:
    """Return the particle of each space point, from those of its measurements.

    Parameters
    ----------
    first, second : sequence of ndarray
        Particles of the first and the second measurement of each space point; None
        where there is no second one.

    Returns
    -------
    ndarray, shape (n_space_points,), uint64
        The first particle that all measurements share; 0 if there is none, as for two
        strips that different particles crossed.
    """
    found = np.zeros(len(first), dtype=np.uint64)
    for row, (own, other) in enumerate(zip(first, second, strict=True)):
        common = own if other is None else own[np.isin(own, other)]
        if len(common):
            found[row] = common[0]
    return found
