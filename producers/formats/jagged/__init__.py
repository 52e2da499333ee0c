"""TTrees and RNTuples with one entry per event: our own files, and others'."""

from producers.formats.base import Format
from producers.formats.jagged.events import EVENTS
from producers.formats.jagged.tracks import TRACKS
from producers.formats.jagged.truth import TRUTH

__all__ = ["FORMAT"]

FORMAT = Format(name="jagged", events=EVENTS, truth=TRUTH, tracks=TRACKS)
