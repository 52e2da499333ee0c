"""Samples of training events, and the batches that are drawn from them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.training.events import (
    Augmentation,
    Purpose,
    TrainingEvent,
    step_rng,
    wedge,
)
from exatrkx_pipeline.training.recipe import StageSchedule


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """Events of one kind, such as those of one mean pileup."""

    training: Sequence[TrainingEvent]

    validation: Sequence[TrainingEvent]
    """Events that are never trained on, for radius, cut and validation loss."""


def events_of(
    samples: Mapping[str, TrainingSample], names: Sequence[str], what: str
) -> TrainingSample:
    """Join the events of these samples, in this order; no names means all samples.

    Parameters
    ----------
    samples : mapping of str to TrainingSample
    names : sequence of str
    what : str
        The key that names them, for the message.

    Raises
    ------
    PipelineConfigError
        If a name belongs to no sample.
    """
    require_known(samples, names, what)
    chosen = [samples[name] for name in names or samples]
    return TrainingSample(
        [event for sample in chosen for event in sample.training],
        [event for sample in chosen for event in sample.validation],
    )


def require_known(samples: Collection[str], names: Sequence[str], what: str) -> None:
    """Raise `PipelineConfigError` if a name belongs to no sample."""
    unknown = [name for name in names if name not in samples]
    if unknown:
        raise PipelineConfigError(
            f"{what}: no sample {unknown[0]!r}, there are {', '.join(samples)}"
        )


def augmented_batches(
    events: list[TrainingEvent],
    augmentation: Augmentation,
    schedule: StageSchedule,
    seed: int,
    *,
    first_step: int = 1,
) -> Iterator[list[TrainingEvent]]:
    """Yield lists of `events_per_step` augmented events, in random order, without end.

    Each event appears once in a round. The events of step `k` depend on the seed and
    `k` alone, wherever the iteration begins.
    """
    n, per_step = len(events), schedule.events_per_step

    @lru_cache(maxsize=2)
    def order(number: int) -> list[int]:
        shuffled: list[int] = (
            step_rng(seed, Purpose.ORDER, number).permutation(n).tolist()
        )
        return shuffled

    for step in count(first_step):
        rng = step_rng(seed, Purpose.AUGMENTATION, step)
        batch = []
        for place in range((step - 1) * per_step, step * per_step):
            event = events[order(place // n)[place % n]]
            other = events[int(rng.integers(n))]
            event, other = (
                wedge(each, schedule.max_space_points, rng) for each in (event, other)
            )
            batch.append(augmentation.apply(event, other, rng))
        yield batch
