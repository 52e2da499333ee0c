"""Features as the Exa.TrkX service takes them: one csv file per event."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import InvalidEventError, UnreadableFileError
from producers.model.features import FeatureScale, positions
from producers.readers.content import FileContent
from producers.readers.formats import ReadOptions
from producers.readers.location import Location, name_of, open_binary
from producers.readers.single_event import SingleEventFile
from sonic_base.errors import ConfigError

__all__ = ["FORMAT"]

_NUMBER = r"\s*[-+]?(nan|inf|[\d.]+(e[-+]?\d+)?)\s*"
_ROW = re.compile(rf"{_NUMBER}(,{_NUMBER})+", re.IGNORECASE)
_NO_ROWS = np.empty((0, 3))


def _positions(
    path: Location, *, event_id: int, scale: FeatureScale
) -> NDArray[np.float32]:
    with open_binary(path) as file:
        text = file.read().decode("ascii", errors="replace")
    rows = [line for line in text.splitlines() if line.strip()]
    try:
        features = np.loadtxt(rows, delimiter=",", ndmin=2) if rows else _NO_ROWS
    except ValueError as error:
        raise UnreadableFileError(path, f"not a feature csv: {error}") from error
    if features.shape[1] != 3:
        raise UnreadableFileError(
            path, f"expected 3 columns (r, phi, z), got {features.shape[1]}"
        )
    is_finite = np.isfinite(features)
    if not is_finite.all():
        row, column = (int(index) for index in np.argwhere(~is_finite)[0])
        name = ("r", "phi", "z")[column]
        raise InvalidEventError(
            path,
            event_id=event_id,
            entry=0,
            reason=f"{name} of space point {row} is {features[row, column]}, "
            "expected a finite number",
        )
    return positions(features, scale)


class _FeatureCsv:
    name = "feature-csv"
    summary = "csv of r, phi, z over a scale, no header (give the scale)"

    def recognises(self, content: FileContent, _options: ReadOptions) -> bool:
        """Whether the first line is numbers with commas; or it is an empty csv."""
        if content.container != "text":
            return False
        if not content.first_line:
            return name_of(content.location).endswith(".csv")
        return _ROW.fullmatch(content.first_line) is not None

    def open(self, content: FileContent, options: ReadOptions) -> SingleEventFile:
        """Return the event, numbered by the digits at the end of its name.

        Raises
        ------
        ConfigError
            If the scale was not given: the file does not say.
        """
        if options.csv_scale is None:
            raise ConfigError(
                f"{content.location}: a feature csv does not say its scale; "
                "give the divisors of r (mm), phi (rad) and z (mm)"
            )
        event_id = _number_in(content.location, options.position)
        read = partial(_positions, event_id=event_id, scale=options.csv_scale)
        return SingleEventFile(content.location, event_id, read)


def _number_in(path: Location, default: int) -> int:
    stem = name_of(path).rpartition(".")[0] or name_of(path)
    number = re.search(r"\d{1,18}$", stem)
    return default if number is None else int(number.group())


FORMAT = _FeatureCsv()
