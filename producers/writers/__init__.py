"""Files that a job leaves: written whole or not at all."""

from producers.writers.space_points import MeasuredEvent, SpacePointWriter
from producers.writers.table import RootForm
from producers.writers.tracks import TrackWriter
from producers.writers.truth import EventWithTruth, TruthWriter
from producers.writers.whole_file import check_output

__all__ = [
    "EventWithTruth",
    "MeasuredEvent",
    "RootForm",
    "SpacePointWriter",
    "TrackWriter",
    "TruthWriter",
    "check_output",
]
