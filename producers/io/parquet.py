"""Parquet files through pyarrow: lists and rows, a few row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from producers.io.location import Location, damaged_file_named, open_binary
from producers.io.tables import Block, Lists
from producers.model.chunk import splits_of
from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.types import AnyArray, Untyped
from sonic_base import ConfigError, nearest_names

if TYPE_CHECKING:
    from types import ModuleType


def require_pyarrow() -> ModuleType:
    """Return the module pyarrow, with ``pyarrow.parquet`` loaded.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        # Imported here: an optional dependency, and slow to load.
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(
            "parquet files need the package pyarrow: "
            "pip install 'sonic-tracking[parquet]'"
        ) from error
    module: ModuleType = pyarrow
    return module


class ParquetTable:
    """An open parquet file with one row per event.

    Attributes
    ----------
    path : Path or str
    column_types : dict of str to str
        Types by column. A list of records is listed as its members: ``sp.x`` of
        ``sp``.
    """

    def __init__(self, path: Location, file: Untyped) -> None:
        self.path, self._file = path, file
        self.column_types: dict[str, str] = {}
        for field in file.schema_arrow:
            self.column_types[field.name] = str(field.type)
            value: Untyped = getattr(field.type, "value_type", None)
            for index in range(getattr(value, "num_fields", 0)):
                member = value.field(index)
                name = f"{field.name}.{member.name}"
                self.column_types[name] = f"list<{member.type}>"

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def require(self, *, lists: Sequence[str], integers: Sequence[str]) -> None:
        """Check that columns exist and hold lists of numbers, or integers, per row.

        Raises
        ------
        SchemaError
            If a column is missing, with the nearest names, or holds something else.
        """
        integer_kinds = ("int", "uint")
        for name in (*integers, *lists):
            is_list = name in lists
            if name not in self.column_types:
                nearest = nearest_names(name, self.column_types)
                raise SchemaError(self.path, f"no column {name!r}, {nearest}")
            kind = self.column_types[name].removeprefix("large_")
            inner = kind.removeprefix("list<")
            element = inner.removeprefix("element: ").removeprefix("item: ")
            kinds = (*integer_kinds, "float", "double", "halffloat")
            fits = element.startswith(kinds if is_list else integer_kinds)
            if (inner != kind) is not is_list or not fits:
                expected = "a list of numbers" if is_list else "an integer"
                raise SchemaError(
                    self.path,
                    f"column {name!r}: expected {expected} per row, "
                    f"got {self.column_types[name]}",
                )

    def text(self, name: str) -> str | None:
        """Return the text stored under a name in the metadata, or None."""
        with damaged_file_named(self.path, "parquet", repr(name)):
            stored = (self._file.metadata.metadata or {}).get(name.encode())
            return None if stored is None else str(stored.decode())

    def entries_in(self, n_bytes: int, columns: Sequence[str]) -> int:
        """Return how many rows of the columns take about `n_bytes`; at least one."""
        metadata = self._file.metadata
        # The sizes of single columns are not asked for: on damaged metadata pyarrow 26
        # ends the whole process there.
        groups = range(metadata.num_row_groups)
        total = sum(metadata.row_group(group).total_byte_size for group in groups)
        share = min(1.0, len(columns) / max(metadata.num_columns, 1))
        return max(1, int(n_bytes * len(self) / max(total * share, 1)))

    def blocks(
        self,
        lists: Sequence[str],
        scalars: Sequence[str],
        *,
        start: int,
        stop: int,
        step: int,
    ) -> Iterator[Block]:
        """Read the rows from `start` to before `stop`, at most `step` at a time.

        Raises
        ------
        UnreadableFileError
            If the file is damaged there, or a value is missing.
        """
        columns = dict.fromkeys(name.partition(".")[0] for name in (*lists, *scalars))
        groups, position = self._row_groups(start, stop)
        batches = self._file.iter_batches(
            step, row_groups=groups, columns=list(columns)
        )
        while True:
            rows_read = f"rows {position} to {position + step}"
            with damaged_file_named(self.path, "parquet", rows_read):
                batch = next(batches, None)
            if batch is None:
                return
            low, high = max(start - position, 0), min(stop - position, len(batch))
            if low < high:
                with damaged_file_named(self.path, "parquet", rows_read):
                    rows = batch.slice(low, high - low)
                    block = Block(
                        position + low,
                        {name: self._lists(rows, name) for name in lists},
                        {name: self._scalars(rows, name) for name in scalars},
                    )
                yield block
            position += len(batch)

    def _row_groups(self, start: int, stop: int) -> tuple[list[int], int]:
        """Return the row groups that have these rows, and the first row of them."""
        metadata, position, first = self._file.metadata, 0, 0
        groups: list[int] = []
        for group in range(metadata.num_row_groups):
            n_rows = metadata.row_group(group).num_rows
            if position < stop and position + n_rows > start:
                first = first if groups else position
                groups.append(group)
            position += n_rows
        return groups, first

    def _scalars(self, rows: Untyped, name: str) -> AnyArray:
        column = rows.column(name)
        if column.null_count:
            raise UnreadableFileError(self.path, f"column {name!r} has missing values")
        return np.asarray(column.to_numpy(zero_copy_only=False))

    def _lists(self, rows: Untyped, name: str) -> Lists:
        column = _column(rows, name)
        values = column.flatten()
        if column.null_count or values.null_count:
            raise UnreadableFileError(self.path, f"column {name!r} has missing values")
        counts = column.value_lengths().to_numpy(zero_copy_only=False)
        return Lists(
            np.asarray(values.to_numpy(zero_copy_only=False)), counts.astype(np.int64)
        )


def _column(rows: Untyped, name: str) -> Untyped:
    root, _, member = name.partition(".")
    column = rows.column(root)
    if not member:
        return column
    # The lists of one member are cut as the lists of records are.
    counts = column.value_lengths().to_numpy(zero_copy_only=False)
    return require_pyarrow().LargeListArray.from_arrays(
        splits_of(counts), column.flatten().field(member)
    )


@contextmanager
def open_parquet(path: Location) -> Iterator[ParquetTable]:
    """Open a parquet file; it is closed at the end of the block.

    Raises
    ------
    UnreadableFileError
        If it is truncated or damaged.
    ConfigError
        If pyarrow is not installed.
    """
    parquet = require_pyarrow().parquet
    with open_binary(path) as file:
        with damaged_file_named(path, "parquet", "its footer"):
            table = ParquetTable(path, parquet.ParquetFile(file))
        yield table
