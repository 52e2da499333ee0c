"""Features as the Exa.TrkX service takes them: one csv file per event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from producers.base import EventChunk
from producers.errors import InvalidEventError, UnreadableFileError
from producers.features import FeatureScale, positions

__all__ = ["FeatureCsvFile", "is_feature_csv"]

_NUMBER = r"\s*[-+]?(nan|inf|[\d.]+(e[-+]?\d+)?)\s*"
_ROW = re.compile(rf"{_NUMBER}(,{_NUMBER})+", re.IGNORECASE)


def is_feature_csv(path: Path) -> bool:
    """Whether the first line is numbers with commas between; or it is an empty csv."""
    with path.open("rb") as file:
        line = file.readline(1000).decode("ascii", errors="replace").strip()
    if not line:
        return path.suffix == ".csv"
    return _ROW.fullmatch(line) is not None


@dataclass(frozen=True, slots=True)
class FeatureCsvFile:
    """One event: rows of r, phi, z over a scale, no header.

    Attributes
    ----------
    path : Path
    scale : FeatureScale
        What the columns were divided by: the file does not say.
    event_id : int
    """

    path: Path
    scale: FeatureScale
    event_id: int

    @property
    def n_events(self) -> int:
        """Always one."""
        return 1

    def chunks(self, n_events: int, chunk_size: int | None) -> Iterator[EventChunk]:
        """Read the event, with positions in mm.

        Raises
        ------
        UnreadableFileError
            If a row is not three numbers.
        InvalidEventError
            If one of them is not finite.
        """
        text = self.path.read_text(encoding="ascii", errors="replace")
        rows = [line for line in text.splitlines() if line.strip()]
        try:
            features = np.loadtxt(rows, delimiter=",", ndmin=2) if rows else _NO_ROWS
        except ValueError as error:
            raise UnreadableFileError(
                self.path, f"not a feature csv: {error}"
            ) from error
        if features.shape[1] != 3:
            raise UnreadableFileError(
                self.path, f"expected 3 columns (r, phi, z), got {features.shape[1]}"
            )
        is_finite = np.isfinite(features)
        if not is_finite.all():
            row, column = (int(index) for index in np.argwhere(~is_finite)[0])
            name = ("r", "phi", "z")[column]
            raise InvalidEventError(
                self.path,
                event_id=self.event_id,
                entry=0,
                reason=f"{name} of space point {row} is {features[row, column]}, "
                "expected a finite number",
            )
        yield EventChunk(
            event_ids=np.array([self.event_id], dtype=np.int64),
            row_splits=np.array([0, len(features)], dtype=np.int64),
            xyz=positions(features, self.scale),
            source=self.path,
        )


_NO_ROWS = np.empty((0, 3))
