"""Tracks and events paired with their truth, and compared event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

from producers.evaluation.counting import EvaluationCounts, count_event
from producers.evaluation.criteria import Criteria
from producers.evaluation.matching import EventDisplay, match_candidates
from producers.evaluation.report import EvaluationReport
from producers.formats.reading import EventSource, TrackEvent, TrackEvents, TruthEvents
from producers.io.iteration import iterating
from producers.model.errors import NoEventsError, UnequalEventsError
from producers.model.event import Event, EventChunk
from producers.model.truth import TruthEvent

__all__ = ["evaluate", "events_with_truth"]


def evaluate(
    tracks: TrackEvents,
    truth: TruthEvents,
    *,
    events: Iterable[EventChunk] | None = None,
    criteria: Criteria | None = None,
    on_event: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Compare the candidates of a job with the truth of its events.

    Events that failed are left out. Events are paired by position, because their
    numbers need not be unique over files; then the numbers are compared. The truth may
    have more events than the tracks, because a job may stop early.

    Parameters
    ----------
    tracks : TrackEvents
    truth : TruthEvents
        The truth of the same inputs in the same order.
    events : EventSource, optional
        The inputs. Their positions are needed to draw an event, and for the TrackML
        score if the truth has no weights for it.
    criteria : Criteria, optional
    on_event : callable, optional
        Called with the number of events done.

    Raises
    ------
    NoEventsError
        If there are no tracks of any event.
    UnequalEventsError
        If the truth has other events, fewer events, or other space points.
    """
    criteria = criteria or Criteria()
    if not len(tracks):
        raise NoEventsError(f"{tracks.path}: no events in it")
    if len(truth) < len(tracks):
        raise UnequalEventsError(
            f"{tracks.path}: {len(tracks)} events, the truth has {len(truth)}"
        )
    total, n_failed = EvaluationCounts(), 0
    display: EventDisplay | None = None
    with (
        iterating(tracks) as found_events,
        iterating(truth) as true_events,
        iterating(repeat(None) if events is None else _events(events)) as inputs,
    ):
        together = zip(found_events, true_events, inputs, strict=False)
        for entry, (found, event, source) in enumerate(together):
            if found.is_failed:
                n_failed += 1
            else:
                n_labels = len(found.candidates.labels)
                place = (str(tracks.path), entry, found.event_id, n_labels)
                _require_same(place, "truth", event.event_id, len(event.particle_id))
                xyz = None
                if source is not None:
                    _require_same(place, "input", source.event_id, len(source))
                    display = _better_display(display, found, event, source, criteria)
                    xyz = source.xyz
                total += count_event(found.candidates, event, criteria, xyz)
            if on_event is not None:
                on_event(entry + 1)
    return EvaluationReport(
        counts=total,
        criteria=criteria,
        n_failed_events=n_failed,
        provenance=tracks.provenance,
        display=display,
    )


def _better_display(
    display: EventDisplay | None,
    found: TrackEvent,
    truth: TruthEvent,
    source: Event,
    criteria: Criteria,
) -> EventDisplay:
    """Return the first event with a candidate that counts, or else the first event."""
    if display is not None and display.is_counted.any():
        return display
    matches = match_candidates(found.candidates, truth.particle_id)
    is_counted = matches.n_space_points >= criteria.min_candidate_space_points
    if display is not None and not is_counted.any():
        return display
    return EventDisplay(
        event_id=source.event_id,
        xyz=source.xyz.copy(),  # not a view, which would keep the whole chunk
        candidates=found.candidates,
        is_matched=matches.is_matched("double_majority"),
        is_counted=is_counted,
    )


def _events(chunks: Iterable[EventChunk]) -> Iterator[Event]:
    with iterating(chunks) as opened:
        for chunk in opened:
            yield from chunk


def events_with_truth(
    source: EventSource, truth: TruthEvents
) -> Iterator[tuple[Event, TruthEvent]]:
    """Yield each event with its truth, which may have further events at the end.

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
    with iterating(_events(source)) as events, iterating(truth) as true_events:
        for event, true in zip(events, true_events, strict=False):
            place = (str(event.source), event.entry, event.event_id, len(event))
            _require_same(place, "truth", true.event_id, len(true.particle_id))
            yield event, true


def _require_same(
    place: tuple[str, int, int, int], other: str, event_id: int, n_points: int
) -> None:
    """Compare the event at a place (path, entry, number, points) with another's."""
    path, entry, own_id, own_points = place
    if own_id != event_id:
        raise UnequalEventsError(
            f"{path}: entry {entry} is event {own_id}, "
            f"in the {other} it is event {event_id}"
        )
    if own_points != n_points:
        raise UnequalEventsError(
            f"{path}: event {own_id} (entry {entry}) has {own_points} space points, "
            f"in the {other} it has {n_points}"
        )
