"""How the loss of a stage fell."""

from __future__ import annotations

from dataclasses import dataclass, field

PARTS = 20
"""A stage's steps are told in so many parts."""


@dataclass(slots=True)
class LearningCurve:
    """Mean loss of each twentieth part of a stage, and the time the stage took."""

    stage: str
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    validation: list[float] = field(default_factory=list)
    """Loss on validation events after each part; empty where it was not looked at."""
