"""Features as the Exa.TrkX service takes them: one csv file per event."""

from producers.formats.base import Format
from producers.formats.feature_csv.events import EVENTS

__all__ = ["FORMAT"]

FORMAT = Format(name="feature_csv", events=EVENTS)
