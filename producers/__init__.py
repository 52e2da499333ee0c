"""Events in, tracks out: readers, producers, the event loop, writers.

Importing it loads numpy, uproot and awkward, nothing that computes or plots:
`producers.evaluation` and `producers.simulation` are imported by name.
"""

from producers.event_loop import (
    ChunkPreparing,
    ChunkProducing,
    ChunkResult,
    EventLoop,
    LoopTimes,
    Producer,
    Sink,
    Step,
    TritonProducer,
)
from producers.model.candidates import CandidateChunk, TrackCandidates
from producers.model.errors import (
    ArrayFailedError,
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
from producers.model.event import ColumnChunk, ColumnEvent, Event, EventChunk
from producers.model.features import FeatureScale, node_features
from producers.model.schema import ColumnMapping
from producers.readers.opening import open_events
from producers.readers.source import EventSource
from producers.readers.tracks import TrackEvents
from producers.readers.truth import TruthEvents
from producers.tracking import TrackFindingProducer
from producers.writers.space_points import SpacePointWriter
from producers.writers.tracks import TrackWriter
from producers.writers.truth import TruthWriter

__all__ = [
    "ArrayFailedError",
    "CandidateChunk",
    "ChunkPreparing",
    "ChunkProducing",
    "ChunkResult",
    "ColumnChunk",
    "ColumnEvent",
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
    "Sink",
    "SpacePointWriter",
    "Step",
    "TrackCandidates",
    "TrackEvents",
    "TrackFindingProducer",
    "TrackWriter",
    "TritonProducer",
    "TruthEvents",
    "TruthWriter",
    "UnequalEventsError",
    "UnreadableFileError",
    "node_features",
    "open_events",
]
