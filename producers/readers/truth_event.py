"""Particle ids, as the readers of truth make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import SchemaError
from producers.readers.location import Location

__all__ = ["as_particle_ids", "packed", "shared_particle"]


# Any: numbers of any type.
def as_particle_ids(path: Location, values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return the ids of particles as uint64.

    Raises
    ------
    SchemaError
        If they are floating point, in which ids above 2^53 are no longer distinct.
    """
    if values.dtype.kind not in "iu":
        raise SchemaError(path, "particle ids must be integers, got floating point")
    return values.astype(np.uint64, copy=False)


# Any: integers of any width.
def packed(
    path: Location, parts: Sequence[NDArray[Any]], bits: Sequence[int]
) -> NDArray[np.uint64]:
    """Return one number for several, the first in the highest bits.

    Raises
    ------
    SchemaError
        If a number does not fit its bits.
    """
    result = np.zeros(len(parts[0]), dtype=np.uint64)
    for values, width in zip(parts, bits, strict=True):
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < 1 << width:
            raise SchemaError(
                path, f"part of a particle's id: {values.max()} is not of {width} bits"
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
        Particles of the one and the other measurement, of every space point; None
        where there is no other one.

    Returns
    -------
    ndarray, shape (n_space_points,), uint64
        The first particle that all measurements have; 0 if there is none, as of two
        strips that different particles crossed.
    """
    found = np.zeros(len(first), dtype=np.uint64)
    for row, (own, other) in enumerate(zip(first, second, strict=True)):
        common = own if other is None else own[np.isin(own, other)]
        if len(common):
            found[row] = common[0]
    return found
