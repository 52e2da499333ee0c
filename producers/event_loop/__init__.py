"""The loop over events: several steps, each with a window, results in input order."""

from producers.event_loop.loop import EventLoop, Sink
from producers.event_loop.step import MappingClient, Step
from producers.event_loop.times import LoopTimes
from producers.model.results import ChunkResult, FailurePolicy

__all__ = [
    "ChunkResult",
    "EventLoop",
    "FailurePolicy",
    "LoopTimes",
    "MappingClient",
    "Sink",
    "Step",
]
