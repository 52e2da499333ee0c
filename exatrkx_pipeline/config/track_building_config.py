"""How scored edges become track candidates: method and cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from exatrkx_pipeline.config.checks import require, require_score

TrackBuilder = Literal["components", "junction_removal", "cc_and_walk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackBuildingConfig:
    """From scored edges to track candidates."""

    method: TrackBuilder
    score_cut: float
    """Edges with a score above it (strictly) take part."""

    walk_min: float = 0.1
    """``cc_and_walk``: lowest score of the best continuation of a path."""

    walk_add: float = 0.6
    """``cc_and_walk``: other continuations above this score are followed as well."""

    def __post_init__(self) -> None:
        require(
            self.method in get_args(TrackBuilder),
            f"method must be one of {get_args(TrackBuilder)}, got {self.method!r}",
        )
        for name in ("score_cut", "walk_min", "walk_add"):
            require_score(name, getattr(self, name))
