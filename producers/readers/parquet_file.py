"""Parquet files through pyarrow: lists and rows, a few row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import DataError, SchemaError, UnreadableFileError
from producers.readers.location import Location, open_binary
from producers.readers.root_table import Lists
from sonic_base.errors import ConfigError, nearest_names

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["ParquetTable", "open_parquet", "parquet_columns", "require_pyarrow"]


def require_pyarrow() -> ModuleType:
    """Return the module that reads and writes parquet.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        # Imported here: an extra, and slow to load.
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            "parquet files need the package pyarrow: "
            "pip install 'sonic-tracking[parquet]'"
        ) from error
    module: ModuleType = pyarrow.parquet
    return module


def parquet_columns(path: Location) -> dict[str, str]:
    """Return the columns with their types; members of structs as ``sp.x``.

    Raises
    ------
    UnreadableFileError
        If the file is truncated or damaged.
    """
    with open_parquet(path) as table:
        return table.column_types


class ParquetTable:
    """An open parquet file with one row per event.

    Attributes
    ----------
    path : Path or str
    column_types : dict of str to str
        A list of records counts as its members: ``sp.x`` of ``sp``.
    """

    # Any: pyarrow has no type information.
    def __init__(self, path: Location, file: Any) -> None:
        self.path, self._file = path, file
        self.column_types: dict[str, str] = {}
        for field in file.schema_arrow:
            self.column_types[field.name] = str(field.type)
            value: Any = getattr(field.type, "value_type", None)
            for index in range(getattr(value, "num_fields", 0)):
                member = value.field(index)
                name = f"{field.name}.{member.name}"
                self.column_types[name] = f"list<{member.type}>"

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that can be read."""
        return tuple(self.column_types)

    def require(self, columns: Sequence[str], *, scalars: Sequence[str] = ()) -> None:
        """Check that the columns are there and hold lists, or integers, per row.

        Raises
        ------
        SchemaError
            If one is not there, with the nearest names, or holds something else.
        """
        wanted = dict.fromkeys(columns, "a list of numbers per row")
        wanted |= dict.fromkeys(scalars, "an integer per row")
        for name, form in wanted.items():
            if name not in self.column_types:
                raise SchemaError(
                    self.path,
                    f"no column {name!r}, {nearest_names(name, self.columns)}",
                )
            kind = self.column_types[name]
            inner = kind.removeprefix("large_").removeprefix("list<")
            element = inner.removeprefix("element: ").removeprefix("item: ")
            is_list = inner != kind.removeprefix("large_")
            numeric = ("int", "uint", "float", "double", "halffloat")
            kinds = numeric[:2] if name in scalars else numeric
            if is_list == (name in scalars) or not element.startswith(kinds):
                raise SchemaError(
                    self.path, f"column {name!r}: expected {form}, got {kind}"
                )

    def text(self, name: str) -> str | None:
        """Return the text stored under a name in the metadata, or None."""
        stored = (self._file.metadata.metadata or {}).get(name.encode())
        return None if stored is None else str(stored.decode())

    def step_of(self, columns: Sequence[str], n_bytes: int) -> int:
        """Return how many rows hold about `n_bytes` of the columns, at least one."""
        roots = {name.partition(".")[0] for name in columns}
        metadata, total = self._file.metadata, 0
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for index in range(row_group.num_columns):
                column = row_group.column(index)
                if column.path_in_schema.partition(".")[0] in roots:
                    total += column.total_uncompressed_size
        return max(1, int(n_bytes * len(self) / max(total, 1)))

    def blocks(
        self, columns: Sequence[str], start: int, stop: int, step: int
    ) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield rows ``start:stop``, `step` at a time, with the first row's number.

        Raises
        ------
        UnreadableFileError
            If the file is damaged there.
        """
        roots = list(dict.fromkeys(name.partition(".")[0] for name in columns))
        groups, first = self._groups_of(start, stop)
        at = first
        batches = self._file.iter_batches(step, row_groups=groups, columns=roots)
        while True:
            with damage_named(self.path, f"rows {at} to {at + step}"):
                batch = next(batches, None)
            if batch is None:
                return
            low, high = max(start - at, 0), min(stop - at, len(batch))
            if low < high:
                rows = batch.slice(low, high - low)
                yield at + low, {name: _column(rows, name) for name in columns}
            at += len(batch)

    def _groups_of(self, start: int, stop: int) -> tuple[list[int], int]:
        metadata, at, first = self._file.metadata, 0, 0
        groups: list[int] = []
        for group in range(metadata.num_row_groups):
            n_rows = metadata.row_group(group).num_rows
            if at < stop and at + n_rows > start:
                first = at if not groups else first
                groups.append(group)
            at += n_rows
        return groups, first

    def scalars(self, column: Any, name: str) -> NDArray[Any]:
        """Return a column of one number per row.

        Raises
        ------
        UnreadableFileError
            If a value is missing.
        """
        if column.null_count:
            raise UnreadableFileError(self.path, f"column {name!r} has missing values")
        return np.asarray(column.to_numpy(zero_copy_only=False))

    def lists(self, column: Any, name: str) -> Lists:
        """Return a column of one list per row, flat.

        Raises
        ------
        UnreadableFileError
            If a list or a value in it is missing.
        """
        values = column.flatten()
        if column.null_count or values.null_count:
            raise UnreadableFileError(self.path, f"column {name!r} has missing values")
        counts = column.value_lengths().to_numpy(zero_copy_only=False)
        return Lists(
            np.asarray(values.to_numpy(zero_copy_only=False)), counts.astype(np.int64)
        )


# Any: pyarrow has no type information.
def _column(rows: Any, name: str) -> Any:
    root, _, member = name.partition(".")
    column = rows.column(root)
    if not member:
        return column
    records = column.flatten()
    # Lists of one member, cut as the lists of records are.
    offsets = np.concatenate(
        ([0], np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False)))
    )
    import pyarrow  # noqa: PLC0415 - loaded already, by `open_parquet`

    return pyarrow.LargeListArray.from_arrays(offsets, records.field(member))


@contextmanager
def open_parquet(path: Location) -> Iterator[ParquetTable]:
    """Open a parquet file; closed at the end of the block.

    Raises
    ------
    UnreadableFileError
        If it is truncated or damaged.
    ConfigError
        If pyarrow is not installed.
    """
    parquet = require_pyarrow()
    with open_binary(path) as file:
        with damage_named(path, "its footer"):
            opened = parquet.ParquetFile(file)
        yield ParquetTable(path, opened)


@contextmanager
def damage_named(path: Location, part: str) -> Iterator[None]:
    """Name the file where pyarrow finds it damaged.

    Raises
    ------
    UnreadableFileError
        With what pyarrow says, in one line.
    """
    try:
        yield
    except (DataError, ImportError):
        raise
    # Arrow's own errors are OSError and ValueError, and of damaged bytes whatever its
    # decoders meet.
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no details"]
        raise UnreadableFileError(
            path, f"truncated or damaged parquet file: cannot read {part} ({lines[0]})"
        ) from error
