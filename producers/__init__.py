"""Events in, tracks out: readers, producers, the event loop, writers.

Importing it loads numpy, uproot and awkward, nothing that computes or plots:
`producers.evaluation` and `producers.simulation` are imported by name.
"""

from producers.base import ChunkPreparing, Event, EventChunk, Producer
from producers.candidates import TrackCandidates
from producers.errors import (
    DataError,
    EventFailedError,
    InputNotFoundError,
    InvalidEventError,
    NoEventsError,
    OutputError,
    OutputExistsError,
    SchemaError,
    UnequalEventsError,
    UnreadableFileError,
)
from producers.event_loop import EventLoop, LoopTimes
from producers.features import FeatureScale, node_features
from producers.readers import EventSource, TrackEvents, TruthEvents, open_events
from producers.schema import ColumnMapping
from producers.tracking import TrackFindingProducer
from producers.writers import SpacePointWriter, TrackWriter, TruthWriter

__all__ = [
    "ChunkPreparing",
    "ColumnMapping",
    "DataError",
    "Event",
    "EventChunk",
    "EventFailedError",
    "EventLoop",
    "EventSource",
    "FeatureScale",
    "InputNotFoundError",
    "InvalidEventError",
    "LoopTimes",
    "NoEventsError",
    "OutputError",
    "OutputExistsError",
    "Producer",
    "SchemaError",
    "SpacePointWriter",
    "TrackCandidates",
    "TrackEvents",
    "TrackFindingProducer",
    "TrackWriter",
    "TruthEvents",
    "TruthWriter",
    "UnequalEventsError",
    "UnreadableFileError",
    "node_features",
    "open_events",
]
