"""Files that a job reads: chosen by content, in chunks, one chunk ahead."""

from producers.model.truth import Particles, TruthEvent
from producers.readers.formats import Format, ReadOptions, known_formats
from producers.readers.location import Location, PathLike, locations
from producers.readers.opening import open_events
from producers.readers.source import EventFile, EventSource
from producers.readers.tracks import TrackEvent, TrackEvents
from producers.readers.truth import TruthEvents

__all__ = [
    "EventFile",
    "EventSource",
    "Format",
    "Location",
    "Particles",
    "PathLike",
    "ReadOptions",
    "TrackEvent",
    "TrackEvents",
    "TruthEvent",
    "TruthEvents",
    "known_formats",
    "locations",
    "open_events",
]
