"""Events in random order, turned, thinned out and dirtied: what a step is given."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import count

from exatrkx_pipeline.training.events import Augmentation, TrainingEvent, wedge
from exatrkx_pipeline.training.stage_schedule import StageSchedule
from exatrkx_pipeline.training.step_rng import Purpose, step_rng


def augmented_batches(
    events: list[TrainingEvent],
    augmentation: Augmentation,
    schedule: StageSchedule,
    seed: int,
    *,
    first_step: int = 1,
) -> Iterator[list[TrainingEvent]]:
    """Endless lists of `events_per_step` augmented events, in random order.

    Each event comes once in a round. What step `k` gets depends on the seed and `k`
    alone, wherever the iteration begins.
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
