"""Events in, tracks out: readers, producers, the event loop, writers.

Importing it loads numpy, uproot and awkward, nothing that computes or plots.

Public submodules
-----------------
- `adapters.awkward`: inference on awkward arrays.
- `adapters.coffea`: a drop-in for coffea's `triton_wrapper`.
- `adapters.process_client`: one client per process, for functions that dask runs.
- `evaluation`: the quality of tracks against the truth, and plots of it.
- `formats.registry`: the list of formats, and the choice of one for a file.
- `io`: locations and URLs, checked outputs, and other needs of jobs with files.
- `simulation`: simulated events.
"""

from producers.event_loop import (
    ChunkPreparing,
    ChunkProducing,
    ChunkResult,
    EventLoop,
    FailurePolicy,
    LoopTimes,
    MappingClient,
    Producer,
    Sink,
    Step,
    TritonProducer,
)
from producers.formats.base import EventFile
from producers.formats.jagged.events import SpacePointWriter
from producers.formats.jagged.truth import TruthWriter
from producers.formats.reading import (
    EventSource,
    TrackEvent,
    TrackEvents,
    TruthEvents,
    open_events,
)
from producers.formats.track_writer import TrackWriter
from producers.io.memory import TracksInMemory
from producers.model.candidates import CandidateChunk, TrackCandidates
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
from producers.model.event import ColumnChunk, ColumnEvent, Event, EventChunk
from producers.model.features import FEATURE_NAMES, FeatureScale, node_features
from producers.model.schema import ColumnMapping
from producers.model.track_block import FailureRow, TrackBlock
from producers.model.truth import Particles, TruthEvent
from producers.model.truth_schema import TruthMapping
from producers.model.units import in_mm
from producers.tracking import TrackFindingProducer

__all__ = [
    "FEATURE_NAMES",
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
    "FailurePolicy",
    "FailureRow",
    "FeatureScale",
    "InputNotFoundError",
    "InvalidEventError",
    "LoopTimes",
    "MappingClient",
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
    "TruthMapping",
    "TruthWriter",
    "UnequalEventsError",
    "UnreadableFileError",
    "in_mm",
    "node_features",
    "open_events",
]
