"""Events with their truth, from two files: paired by position, checked by number."""

from __future__ import annotations

from collections.abc import Iterator

from producers import EventSource, TruthEvent, TruthEvents
from producers.io.iteration import iterating
from producers.model.errors import UnequalEventsError
from producers.model.event import Event

__all__ = ["events_with_truth"]


def events_with_truth(
    source: EventSource, truth: TruthEvents
) -> Iterator[tuple[Event, TruthEvent]]:
    """Yield each event with its truth, which may contain further events at the end.

    Raises
    ------
    UnequalEventsError
        If the truth has fewer or other events, or other space points.
    """
    if len(truth) < len(source):
        raise UnequalEventsError(
            f"{truth.paths[0]}: truth of {len(truth)} events, "
            f"there are {len(source)} events in {source.names[0]}"
        )
    with iterating(source) as chunks, iterating(truth) as true_events:
        events = (event for chunk in chunks for event in chunk)
        for event, true in zip(events, true_events, strict=False):
            where = f"{event.source}: entry {event.entry}"
            if event.event_id != true.event_id:
                raise UnequalEventsError(
                    f"{where} is event {event.event_id}, in the truth it is event "
                    f"{true.event_id}"
                )
            if len(event) != len(true.particle_id):
                raise UnequalEventsError(
                    f"{where} has {len(event)} space points, in the truth it has "
                    f"{len(true.particle_id)}"
                )
            yield event, true
