"""Random numbers of a training step that depend on nothing but its number.

A training that goes on after an interruption has then the same events, turned and
thinned the same way, as one that was never interrupted: there is no generator whose
state would have to be kept, although batches are prepared ahead.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What the numbers are for; each purpose has its own."""

    ORDER = 0
    AUGMENTATION = 1
    PAIRS = 2
    THINNING = 3
    VALIDATION = 4


def step_rng(seed: int, purpose: Purpose, number: int) -> np.random.Generator:
    """A generator for one step, round or event; see `numpy.random.SeedSequence`."""
    return np.random.default_rng((seed, int(purpose), number))
