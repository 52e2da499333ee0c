"""Hits of the TrackML challenge: one csv file per event."""

from __future__ import annotations

from producers.formats.base import EventFormat
from producers.formats.event_files import open_csv_of_positions

HITS = {"hit_id", "x", "y", "z", "volume_id", "layer_id", "module_id"}
"""Columns of the hits: trackml-library, ``trackml/dataset.py``."""

EVENTS = EventFormat(
    name="trackml",
    recognises=lambda content, _options: content.csv_columns >= HITS,
    open=open_csv_of_positions,
)
