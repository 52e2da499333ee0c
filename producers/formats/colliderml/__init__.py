"""ColliderML: parquet with one row per event."""

from producers.formats.base import Format
from producers.formats.colliderml.events import EVENTS
from producers.formats.colliderml.truth import TRUTH

__all__ = ["FORMAT"]

FORMAT = Format(name="colliderml", events=EVENTS, truth=TRUTH)
