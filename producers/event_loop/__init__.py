"""The loop over events: producers, steps with a window each, results in input order."""

from producers.event_loop.loop import EventLoop, Sink
from producers.event_loop.producer import (
    ChunkPreparing,
    ChunkProducing,
    Producer,
    TritonProducer,
)
from producers.event_loop.step import MappingClient, Step
from producers.event_loop.times import LoopTimes
from producers.model.results import ChunkResult, FailurePolicy

__all__ = [
    "ChunkPreparing",
    "ChunkProducing",
    "ChunkResult",
    "EventLoop",
    "FailurePolicy",
    "LoopTimes",
    "MappingClient",
    "Producer",
    "Sink",
    "Step",
    "TritonProducer",
]
