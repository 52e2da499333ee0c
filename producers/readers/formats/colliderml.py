"""Tracker hits of ColliderML: parquet with one row per event."""

from __future__ import annotations

from producers.model.schema import ColumnMapping
from producers.readers.content import FileContent
from producers.readers.formats import ReadOptions
from producers.readers.formats.parquet import ParquetFile

__all__ = ["COLUMNS", "FORMAT", "is_colliderml_hits"]

COLUMNS = ColumnMapping(event="event_id", x="x", y="y", z="z")
"""``simHitSchema`` of ACTS' Arrow plugin; also OpenDataDetector/ColliderML."""


def is_colliderml_hits(content: FileContent) -> bool:
    """Whether a file has the columns of tracker hits with their particles."""
    wanted = {*COLUMNS.columns, "true_x", "particle_id"}
    return wanted <= set(content.parquet_columns)


class _ColliderML:
    name = "colliderml"
    summary = "ColliderML parquet of tracker_hits"

    def recognises(self, content: FileContent, options: ReadOptions) -> bool:
        """Whether it has the columns of tracker hits."""
        return options.columns is None and is_colliderml_hits(content)

    def open(self, content: FileContent, _options: ReadOptions) -> ParquetFile:
        """As `ParquetFile.inspect`."""
        return ParquetFile.inspect(content.location, COLUMNS)


FORMAT = _ColliderML()
