"""The columns of a job's inputs, as its caller names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from producers import ColumnMapping, TruthMapping
from sonic_base import ConfigError, nearest_names, toml_content

__all__ = ["PointColumns", "TruthColumns", "point_columns", "truth_columns"]

PointColumns: TypeAlias = ColumnMapping | Mapping[str, object] | Path | str | None
TruthColumns: TypeAlias = TruthMapping | Mapping[str, object] | Path | str | None

TABLES = ("columns", "truth")


def point_columns(
    given: PointColumns, *, is_optional: bool = False
) -> ColumnMapping | None:
    """Return the columns of the space points, of the table ``columns`` of a file.

    Parameters
    ----------
    given : ColumnMapping, mapping, or path of a TOML file, optional
    is_optional : bool
        Whether a file with a table ``truth`` may lack the table.

    Raises
    ------
    ConfigError
        If the file or an entry is wrong.
    """
    if given is None or isinstance(given, ColumnMapping):
        return given
    if isinstance(given, Mapping):
        return ColumnMapping.from_dict(given)
    if is_optional and not _has(given, "columns"):
        return None
    return ColumnMapping.from_toml(given)


def truth_columns(given: TruthColumns) -> TruthMapping | None:
    """Return the columns of the truth, of the table ``truth`` of a file; None without.

    Raises
    ------
    ConfigError
        If the file or an entry is wrong.
    """
    if given is None or isinstance(given, TruthMapping):
        return given
    if isinstance(given, Mapping):
        return TruthMapping.from_dict(given)
    return TruthMapping.from_toml(given) if _has(given, "truth") else None


def _has(path: Path | str, table: str) -> bool:
    """Whether a columns file has a table; it must have one at least."""
    tables = list(toml_content(path))
    if not set(tables) & set(TABLES):
        nearest = nearest_names("columns", tables) or "it is empty"
        raise ConfigError(f"{path}: no table [columns] or [truth], {nearest}")
    return table in tables
