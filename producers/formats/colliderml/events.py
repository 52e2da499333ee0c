"""Tracker hits of ColliderML: parquet with one row per event."""

from __future__ import annotations

from producers.formats.base import EventFormat
from producers.formats.event_files import ListFile
from producers.io.content import FileContent
from producers.io.parquet import open_parquet
from producers.model.schema import ColumnMapping

COLUMNS = ColumnMapping(event="event_id", x="x", y="y", z="z")
"""``simHitSchema`` of ACTS' Arrow plugin; also OpenDataDetector/ColliderML."""


def is_colliderml_hits(content: FileContent) -> bool:
    """Whether a file has the columns of tracker hits with their particles."""
    wanted = {*COLUMNS.columns, "true_x", "particle_id"}
    return wanted <= set(content.parquet_columns)


EVENTS = EventFormat(
    name="colliderml",
    recognises=lambda content, options: (
        options.columns is None and is_colliderml_hits(content)
    ),
    open=lambda content, _options: ListFile.inspect(
        content.location, COLUMNS, open_parquet
    ),
)
