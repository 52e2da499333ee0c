"""Events in, tracks out: readers, producers, the event loop, writers.

Importing it loads numpy, uproot and awkward, nothing that computes or plots:
`producers.evaluation` and `producers.simulation` are imported by name.

Public submodules
-----------------
- `io`: files whatever their format: locations and URLs, outputs written whole.
- `formats.registry`: the list of formats, and the choice of one for a file.
"""

from producers.event_loop import ChunkResult, EventLoop, LoopTimes, Sink, Step
from producers.formats.base import EventFile
from producers.formats.jagged.events import SpacePointWriter
from producers.formats.jagged.truth import TruthWriter
from producers.formats.opening import EventSource, open_events
from producers.formats.track_writer import TrackWriter
from producers.formats.tracks import TrackEvent, TrackEvents
from producers.formats.truth import TruthEvents
from producers.io.memory import TracksInMemory
from producers.model.candidates import CandidateChunk, TrackCandidates
from producers.model.columns import ColumnChunk, ColumnEvent
from producers.model.errors import (
    ArrayFailedError,
    DataError,
    DuplicateEventError,
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
from producers.model.event import Event, EventChunk
from producers.model.features import FeatureScale, node_features
from producers.model.schema import ColumnMapping
from producers.model.track_block import FailureRow, TrackBlock
from producers.model.truth import Particles, TruthEvent
from producers.producer import ChunkPreparing, ChunkProducing, Producer
from producers.tracking import TrackFindingProducer
from producers.triton_producer import TritonProducer

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
    "DuplicateEventError",
    "Event",
    "EventChunk",
    "EventFailedError",
    "EventFile",
    "EventLoop",
    "EventSource",
    "FailureRow",
    "FeatureScale",
    "InputNotFoundError",
    "InvalidEventError",
    "LoopTimes",
    "NoEventsError",
    "OutputError",
    "OutputExistsError",
    "Particles",
    "Producer",
    "SchemaError",
    "Sink",
    "SpacePointWriter",
    "Step",
    "TrackBlock",
    "TrackCandidates",
    "TrackEvent",
    "TrackEvents",
    "TrackFindingProducer",
    "TrackWriter",
    "TracksInMemory",
    "TritonProducer",
    "TruthEvent",
    "TruthEvents",
    "TruthWriter",
    "UnequalEventsError",
    "UnreadableFileError",
    "node_features",
    "open_events",
]
