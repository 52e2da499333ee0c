"""The same events out of several files, paired by position and checked by number."""

from __future__ import annotations

from collections.abc import Iterator

from producers import Event, EventSource, TruthEvents, UnequalEventsError
from producers.model.iteration import iterating
from producers.readers import TruthEvent

__all__ = ["events_with_truth"]


def events_with_truth(
    source: EventSource, truth: TruthEvents
) -> Iterator[tuple[Event, TruthEvent]]:
    """Yield each event with its truth; the truth may go on after the last event.

    Raises
    ------
    UnequalEventsError
        If the truth is of fewer or other events, or of other space points.
    """
    if len(truth) < len(source):
        raise UnequalEventsError(
            f"{truth.paths[0]}: truth of {len(truth)} events, "
            f"there are {len(source)} events in {source.names[0]}"
        )
    with iterating(source) as chunks, iterating(truth) as true_events:
        events = (event for chunk in chunks for event in chunk)
        for event, true in zip(events, true_events, strict=False):
            _require_same(event, true)
            yield event, true


def _require_same(event: Event, truth: TruthEvent) -> None:
    where = f"{event.source}: entry {event.entry}"
    if event.event_id != truth.event_id:
        raise UnequalEventsError(
            f"{where} is event {event.event_id}, in the truth it is event "
            f"{truth.event_id}"
        )
    if len(event) != len(truth.particle_id):
        raise UnequalEventsError(
            f"{where} has {len(event)} space points, in the truth it has "
            f"{len(truth.particle_id)}"
        )
