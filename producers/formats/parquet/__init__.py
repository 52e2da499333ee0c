"""Parquet files with one row per event."""

from producers.formats.base import Format
from producers.formats.parquet.events import EVENTS
from producers.formats.parquet.tracks import TRACKS

__all__ = ["FORMAT"]

FORMAT = Format(name="parquet", events=EVENTS, tracks=TRACKS)
