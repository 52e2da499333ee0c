"""Events with truth out of files, as the training takes them."""

from __future__ import annotations

from collections import deque

import numpy as np

from exatrkx_pipeline.training.events import TrainingEvent
from producers import Event, EventSource, TruthEvents, UnequalEventsError
from producers.readers import TruthEvent
from sonic_cli.jobs.pairing import events_with_truth
from sonic_cli.progress import progress

__all__ = ["read_events"]


def read_events(
    source: EventSource, truth: TruthEvents, n_validation: int
) -> tuple[list[TrainingEvent], list[tuple[Event, TruthEvent]]]:
    """Read all events; the last ones also as they are, for validation.

    Raises
    ------
    UnequalEventsError
        If the truth is of other events, or lacks a particle.
    """
    events: list[TrainingEvent] = []
    last: deque[tuple[Event, TruthEvent]] = deque(maxlen=n_validation)
    with progress("read", len(source), unit="events") as report:
        for event, true in events_with_truth(source, truth):
            events.append(_training_event(event, true))
            last.append((event, true))
            report(len(events))
    return events, list(last)


def _training_event(event: Event, truth: TruthEvent) -> TrainingEvent:
    particles, of_point = truth.particles, truth.particle_id
    by_id = np.argsort(particles.particle_id)
    known = np.isin(of_point, particles.particle_id)
    if (~known & (of_point != 0)).any():
        unknown = of_point[~known & (of_point != 0)][0]
        raise UnequalEventsError(
            f"truth of event {truth.event_id}: particle {unknown} of a space point "
            "is not listed"
        )
    row = np.full(len(event), -1, dtype=np.int64)
    row[known] = by_id[
        np.searchsorted(particles.particle_id, of_point[known], sorter=by_id)
    ]
    return TrainingEvent.from_arrays(
        event.xyz, row, particles.momentum_gev, particles.vertex_mm
    )
