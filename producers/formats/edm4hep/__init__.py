"""EDM4hep events, as podio writes them to TTrees and RNTuples."""

from producers.formats.base import Format
from producers.formats.edm4hep.events import EVENTS
from producers.formats.edm4hep.tracks import TRACKS
from producers.formats.edm4hep.truth import TRUTH

__all__ = ["FORMAT"]

FORMAT = Format(name="edm4hep", events=EVENTS, truth=TRUTH, tracks=TRACKS)
