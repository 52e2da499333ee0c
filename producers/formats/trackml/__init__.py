"""The csv files of the TrackML challenge."""

from producers.formats.base import Format
from producers.formats.trackml.events import EVENTS
from producers.formats.trackml.tracks import TRACKS
from producers.formats.trackml.truth import TRUTH

__all__ = ["FORMAT"]

FORMAT = Format(name="trackml", events=EVENTS, truth=TRUTH, tracks=TRACKS)
