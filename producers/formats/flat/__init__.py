"""ACTS' ROOT files: one entry per space point."""

from producers.formats.base import Format
from producers.formats.flat.events import EVENTS
from producers.formats.flat.truth import TRUTH

__all__ = ["FORMAT"]

FORMAT = Format(name="flat", events=EVENTS, truth=TRUTH)
