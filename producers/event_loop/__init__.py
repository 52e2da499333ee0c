"""The loop over events: several steps, each with a window, results in input order."""

from producers.chunk_result import ChunkResult, FailurePolicy
from producers.event_loop.loop import EventLoop, Sink
from producers.event_loop.step import MappingClient, Step
from producers.event_loop.times import LoopTimes

__all__ = [
    "ChunkResult",
    "EventLoop",
    "FailurePolicy",
    "LoopTimes",
    "MappingClient",
    "Sink",
    "Step",
]
