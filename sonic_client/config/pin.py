"""Which model the servers must have, to the last tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PinConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PinConfig:
    """Which model the servers must have; by default only its name counts."""

    config_pbtxt: Path | None = None
    """Triton's configuration file of the model, whose tensors, batch size and
    parameters the server must have."""
