"""The tracks of a job against the truth, event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

from producers.evaluation.counting import EvaluationCounts, count_event
from producers.evaluation.criteria import Criteria
from producers.evaluation.matching import match_candidates
from producers.evaluation.report import EvaluationReport, EventDisplay
from producers.formats.tracks import TrackEvent, TrackEvents
from producers.formats.truth import TruthEvents
from producers.io.iteration import iterating
from producers.model.errors import NoEventsError, UnequalEventsError
from producers.model.event import Event, EventChunk
from producers.model.truth import TruthEvent

__all__ = ["evaluate"]


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
        iterating(_events(events)) as inputs,
    ):
        together = zip(found_events, true_events, inputs, strict=False)
        for entry, (found, event, source) in enumerate(together):
            if found.is_failed:
                n_failed += 1
            else:
                _require_same_event(tracks, entry, found, event, source)
                xyz = None if source is None else source.xyz
                total += count_event(found.candidates, event, criteria, xyz)
                if source is not None:
                    display = _better_display(display, found, event, source, criteria)
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


def _events(chunks: Iterable[EventChunk] | None) -> Iterator[Event | None]:
    if chunks is None:
        yield from repeat(None)
        return
    with iterating(chunks) as opened:
        for chunk in opened:
            yield from chunk


def _require_same_event(
    tracks: TrackEvents,
    entry: int,
    found: TrackEvent,
    event: TruthEvent,
    source: Event | None,
) -> None:
    others = [("truth", event.event_id, len(event.particle_id))]
    if source is not None:
        others.append(("input", source.event_id, len(source)))
    n_labels = len(found.candidates.labels)
    for where, event_id, n_points in others:
        if found.event_id != event_id:
            raise UnequalEventsError(
                f"{tracks.path}: entry {entry} is event {found.event_id}, "
                f"in the {where} it is event {event_id}"
            )
        if n_labels != n_points:
            raise UnequalEventsError(
                f"{tracks.path}: event {found.event_id} (entry {entry}) has "
                f"{n_labels} space points, in the {where} it has {n_points}"
            )
