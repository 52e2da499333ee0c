"""Samples of events with truth out of files, as the training takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exatrkx_pipeline.training.events import TrainingEvent
from exatrkx_pipeline.training.samples import TrainingSample
from producers import (
    Event,
    EventSource,
    TruthEvent,
    TruthEvents,
    UnequalEventsError,
    open_events,
)
from sonic_client import ConfigError
from sonic_tracking.jobs.pairing import events_with_truth
from sonic_tracking.jobs.training_recipe import SampleFiles
from sonic_tracking.progress import progress

__all__ = ["OpenSample", "ReadSample"]


@dataclass(frozen=True, slots=True)
class ReadSample:
    """The events of a sample, and those for validation also as they are."""

    events: TrainingSample
    validation: list[tuple[Event, TruthEvent]]


@dataclass(frozen=True, slots=True)
class OpenSample:
    """Files that were looked into, before any is read: a wrong one is found at once."""

    files: SampleFiles
    source: EventSource
    truth: TruthEvents
    n_training: int
    n_validation: int

    @classmethod
    def of(cls, files: SampleFiles, n_validation: int) -> OpenSample:
        """Open a sample, `n_validation` of it for validation if it does not say.

        Raises
        ------
        ConfigError
            If it has too few events.
        DataError
            If a file is wrong.
        """
        source, truth = open_events(files.events), TruthEvents(files.truth)
        if files.n_validation is not None:
            n_validation = files.n_validation
        n_training = files.n_training or max(len(source) - n_validation, 1)
        if len(source) < n_training + n_validation:
            wanted = (
                f"more than {n_validation} events"
                if files.n_training is None
                else f"{n_training} events to train on"
            )
            raise ConfigError(
                f"sample {files.name!r}: need {wanted}, for {n_validation} are kept "
                f"for validation; got {len(source)}"
            )
        return cls(files, source, truth, n_training, n_validation)

    def read(self) -> ReadSample:
        """Read the first events for training and the last ones for validation.

        Raises
        ------
        UnequalEventsError
            If the truth is of other events, or lacks a particle.
        """
        n_events = len(self.source)
        training: list[TrainingEvent] = []
        validation: list[tuple[Event, TruthEvent]] = []
        with progress(f"read {self.files.name}", n_events, unit="events") as report:
            pairs = events_with_truth(self.source, self.truth)
            for number, (event, truth) in enumerate(pairs):
                if number < self.n_training:
                    training.append(_training_event(event, truth))
                elif number >= n_events - self.n_validation:
                    validation.append((event, truth))
                report(number + 1)
        kept = [_training_event(event, truth) for event, truth in validation]
        return ReadSample(TrainingSample(training, kept), validation)


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
