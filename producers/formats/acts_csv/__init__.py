"""ACTS' csv files: one file per event."""

from producers.formats.acts_csv.events import EVENTS
from producers.formats.acts_csv.truth import TRUTH
from producers.formats.base import Format

__all__ = ["FORMAT"]

FORMAT = Format(events=EVENTS, truth=TRUTH)
