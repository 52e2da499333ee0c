"""One event to look at: its space points and the candidates among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.evaluation.criteria import Criteria
from producers.evaluation.matching import match_candidates
from producers.model.candidates import TrackCandidates
from producers.model.errors import NoEventsError, UnequalEventsError
from producers.model.event import EventChunk
from producers.model.iteration import iterating
from producers.readers import TrackEvent, TruthEvent

__all__ = ["EventDisplay", "first_display"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EventDisplay:
    """What is drawn of an event.

    Attributes
    ----------
    event_id : int
    xyz : ndarray, shape (n_space_points, 3), float32
        In mm.
    candidates : TrackCandidates
    is_matched : ndarray, shape (n_candidates,), bool
        By double majority.
    is_counted : ndarray, shape (n_candidates,), bool
        Large enough.
    """

    event_id: int
    xyz: NDArray[np.float32]
    candidates: TrackCandidates
    is_matched: NDArray[np.bool_]
    is_counted: NDArray[np.bool_]


def first_display(
    source: Iterable[EventChunk],
    tracks: Iterable[TrackEvent],
    truth: Iterable[TruthEvent],
    *,
    criteria: Criteria | None = None,
) -> EventDisplay:
    """Return the first event with a candidate; the first answered one if none has.

    Parameters
    ----------
    source : EventSource
        The events that the tracks were found in, in the same order.
    tracks : TrackEvents
    truth : TruthEvents
    criteria : Criteria, optional

    Raises
    ------
    NoEventsError
        If one of the inputs has no events.
    UnequalEventsError
        If they are of different events.
    """
    criteria = criteria or Criteria()
    first: EventDisplay | None = None
    with (
        iterating(source) as chunks,
        iterating(tracks) as found_events,
        iterating(truth) as true_events,
    ):
        events = (event for chunk in chunks for event in chunk)
        for event, found, true in zip(events, found_events, true_events, strict=False):
            if found.is_failed:
                continue
            sizes = {len(event), len(found.candidates.labels), len(true.particle_id)}
            ids = {event.event_id, found.event_id, true.event_id}
            if len(ids) > 1 or len(sizes) > 1:
                raise UnequalEventsError(
                    f"{event.source}: event {event.event_id} (entry {event.entry}) is "
                    "not the one that the tracks or the truth have in its place"
                )
            matches = match_candidates(found.candidates, true.particle_id)
            least = criteria.min_candidate_space_points
            display = EventDisplay(
                event_id=event.event_id,
                xyz=event.xyz,
                candidates=found.candidates,
                is_matched=matches.is_matched("double_majority"),
                is_counted=matches.n_space_points >= least,
            )
            if display.is_counted.any():
                return display
            first = first or display
    if first is None:
        raise NoEventsError("no event to display")
    return first
