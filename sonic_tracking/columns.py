"""The columns of a job's inputs, as its caller names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from producers import ColumnMapping

__all__ = ["point_columns"]


def point_columns(
    given: ColumnMapping | Mapping[str, object] | Path | str | None,
) -> ColumnMapping | None:
    """Return the columns of the space points; a path is that of a TOML file.

    Raises
    ------
    ConfigError
        If the file or an entry is wrong.
    """
    if given is None or isinstance(given, ColumnMapping):
        return given
    if isinstance(given, Mapping):
        return ColumnMapping.from_dict(given)
    return ColumnMapping.from_toml(given)
