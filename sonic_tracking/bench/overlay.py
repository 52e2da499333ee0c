"""Events of any size: those at hand laid over each other, turned about the beam."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sonic_base.errors import ConfigError

__all__ = ["overlaid", "parse_sizes", "plan_sizes"]

STEPS = (1, 3)  # a decade: 1k, 3k, 10k, ...


def plan_sizes(first: int, last: int) -> tuple[int, ...]:
    """Sizes from first to last, two to a decade, both ends included."""
    decades = range(int(math.log10(first)), int(math.log10(last)) + 1)
    between = {step * 10**decade for decade in decades for step in STEPS}
    return tuple(
        sorted({first, last} | {size for size in between if first < size < last})
    )


def parse_sizes(text: str, option: str) -> tuple[int, ...]:
    """``FIRST:LAST``, or one size, by `plan_sizes`.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    ends = [part for part in text.split(":") if part.isdecimal()]
    numbers = [int(part) for part in ends]
    if (
        len(ends) != text.count(":") + 1
        or len(ends) > 2
        or not 0 < numbers[0] <= numbers[-1]
    ):
        raise ConfigError(
            f"{option} {text!r}: expected FIRST:LAST in ascending order, or one number"
        )
    return plan_sizes(numbers[0], numbers[-1])


def overlaid(
    events: Sequence[NDArray[np.float32]],
    n_points: int,
    phi_scale: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """An event of exactly `n_points`, as dense as pileup of so many would be.

    Parameters
    ----------
    events : sequence of ndarray, shape (n, 3), float32
        Scaled r, phi, z; they are taken in turn, each at a random turn in phi, and the
        last one in part. At least one must have points.
    n_points : int
        Space points of the result.
    phi_scale : float
        What phi was divided by, in rad.
    rng : numpy Generator
        For the turns, and for which points of the last event are taken.

    Returns
    -------
    ndarray, shape (n_points, 3), float32

    Raises
    ------
    ValueError
        If no event has any points.
    """
    if not any(len(event) for event in events):
        raise ValueError("no event has any space points")
    parts: list[NDArray[np.float32]] = []
    n_left = n_points
    while n_left > 0:
        event = events[len(parts) % len(events)]
        turned = event.astype(np.float64)
        phi = turned[:, 1] * phi_scale + rng.uniform(0.0, 2.0 * math.pi)
        turned[:, 1] = np.remainder(phi + math.pi, 2.0 * math.pi) - math.pi
        turned[:, 1] /= phi_scale
        if len(turned) > n_left:
            turned = turned[rng.permutation(len(turned))[:n_left]]
        parts.append(turned.astype(np.float32))
        n_left -= len(turned)
    return np.concatenate([np.empty((0, 3), np.float32), *parts])
