"""Files that a job leaves: written whole or not at all."""

from producers.writers.memory import TracksInMemory
from producers.writers.perf_analyzer import PerfAnalyzerWriter
from producers.writers.space_points import MeasuredEvent, SpacePointWriter
from producers.writers.table import RootForm
from producers.writers.track_files import known_track_formats
from producers.writers.tracks import TrackWriter
from producers.writers.truth import EventWithTruth, TruthWriter
from producers.writers.whole_file import check_output

__all__ = [
    "EventWithTruth",
    "MeasuredEvent",
    "PerfAnalyzerWriter",
    "RootForm",
    "SpacePointWriter",
    "TrackWriter",
    "TracksInMemory",
    "TruthWriter",
    "check_output",
    "known_track_formats",
]
