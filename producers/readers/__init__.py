"""Files that a job reads: chosen by content, in chunks, one chunk ahead."""

from producers.readers.opening import open_events
from producers.readers.source import EventFile, EventSource
from producers.readers.tracks import TrackEvent, TrackEvents
from producers.readers.truth import Particles, TruthEvent, TruthEvents

__all__ = [
    "EventFile",
    "EventSource",
    "Particles",
    "TrackEvent",
    "TrackEvents",
    "TruthEvent",
    "TruthEvents",
    "open_events",
]
