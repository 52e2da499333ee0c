"""The ATLAS dump for GNN4ITk: one entry per event."""

from producers.formats.base import Format
from producers.formats.gnn4itk.events import EVENTS
from producers.formats.gnn4itk.truth import TRUTH

__all__ = ["FORMAT"]

FORMAT = Format(name="gnn4itk", events=EVENTS, truth=TRUTH)
