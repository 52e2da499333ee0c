"""ACTS' csv files: one file per event."""

from producers.formats.acts_csv.events import EVENTS
from producers.formats.acts_csv.truth import TRUTH
from producers.formats.base import Format

__all__ = ["FORMAT"]

FORMAT = Format(name="acts_csv", events=EVENTS, truth=TRUTH)
