"""Space points in parquet files with any column names, one row per event."""

from __future__ import annotations

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.event_files import ListFile
from producers.io.content import FileContent
from producers.io.parquet import open_parquet
from producers.model.errors import SchemaError
from producers.model.schema import RECOGNISED_LAYOUTS, recognised


def _recognises(content: FileContent, options: ReadOptions) -> bool:
    """Whether the columns are of a known layout, or the caller names them."""
    if options.columns is not None:
        return content.container == "parquet"
    return recognised(None, content.parquet_columns) is not None


def _open(content: FileContent, options: ReadOptions) -> ListFile:
    columns = options.columns or recognised(None, content.parquet_columns)
    if columns is None:
        known = " or ".join(", ".join(each.columns) for each in RECOGNISED_LAYOUTS)
        has = ", ".join(content.parquet_columns)
        raise SchemaError(
            content.location, f"none of the columns {known}; name them (has: {has})"
        )
    return ListFile.inspect(content.location, columns, open_parquet)


EVENTS = EventFormat(
    name="parquet",
    recognises=_recognises,
    open=_open,
)
