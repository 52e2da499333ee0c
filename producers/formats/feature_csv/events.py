"""Features without a header, r, phi and z over their scales: one csv file per event."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.event_files import SingleEventFile
from producers.io.content import FileContent
from producers.io.location import Location, name_of, open_binary
from producers.model.errors import InvalidEventError, UnreadableFileError
from producers.model.features import FeatureScale, positions
from sonic_base import ConfigError

_NUMBER = r"\s*[-+]?(nan|inf|[\d.]+(e[-+]?\d+)?)\s*"
_ROW = re.compile(rf"{_NUMBER}(,{_NUMBER})+", re.IGNORECASE)


def _positions(
    path: Location, *, event_id: int, scale: FeatureScale
) -> NDArray[np.float32]:
    with open_binary(path) as file:
        text = file.read().decode("ascii", errors="replace")
    rows = [line for line in text.splitlines() if line.strip()]
    try:
        features = (
            np.loadtxt(rows, delimiter=",", ndmin=2) if rows else np.empty((0, 3))
        )
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


def _recognises(content: FileContent, _options: ReadOptions) -> bool:
    """Whether the first line is numbers and commas, or the file is an empty csv."""
    if content.container != "text":
        return False
    if not content.first_line:
        return name_of(content.location).endswith(".csv")
    return _ROW.fullmatch(content.first_line) is not None


def _open(content: FileContent, options: ReadOptions) -> SingleEventFile:
    """Return the event; its number is the digits at the end of the file's name."""
    path, scale = content.location, options.csv_scale
    if scale is None:
        raise ConfigError(
            f"{path}: a feature csv does not say its scale; "
            "give the divisors of r (mm), phi (rad) and z (mm)"
        )
    stem = name_of(path).rpartition(".")[0] or name_of(path)
    number = re.search(r"\d{1,18}$", stem)
    event_id = options.position if number is None else int(number.group())
    read = partial(_positions, event_id=event_id, scale=scale)
    return SingleEventFile(path, event_id, read)


EVENTS = EventFormat(
    name="feature-csv",
    recognises=_recognises,
    open=_open,
    unit="mm",  # of the scale
)
