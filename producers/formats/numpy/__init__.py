"""Positions in numpy's own files."""

from producers.formats.base import Format
from producers.formats.numpy.events import EVENTS

__all__ = ["FORMAT"]

FORMAT = Format(name="numpy", events=EVENTS)
