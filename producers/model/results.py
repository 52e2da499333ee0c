"""The results of a loop: chunks of events with their products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from producers.model.chunk import AnyEvent, Chunk
from producers.model.errors import EventFailedError
from sonic_base import ConfigError

__all__ = ["ChunkResult", "FailurePolicy", "Fill", "check_policy"]

FailurePolicy: TypeAlias = Literal["raise", "skip", "fill"]

# Any: a product of the producer's own kind, or a function that makes one of an event.
Fill: TypeAlias = Any | Callable[[AnyEvent], Any]


def check_policy(policy: str) -> None:
    """Raise ConfigError if the policy is unknown."""
    if policy not in get_args(FailurePolicy):
        raise ConfigError(f"on_failure is 'raise', 'skip' or 'fill', got {policy!r}")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ChunkResult:
    """Neighbouring events with their products.

    Attributes
    ----------
    chunk : Chunk
    events : sequence of AnyEvent
        The events of the chunk.
    products : mapping of str to sequence
        By step: one product per event. Where a step failed it is None, or for a step
        that produces chunks, its product of an event without an answer.
    is_failed : ndarray, shape (n_events,), bool
        Events for which a step failed.
    failures : tuple of EventFailedError
        In the order of events.
    on_failure : {"raise", "skip", "fill"}
        The loop's policy.
    """

    chunk: Chunk[Any]
    events: Sequence[AnyEvent]
    products: Mapping[str, Sequence[Any]]
    is_failed: NDArray[np.bool_]
    failures: tuple[EventFailedError, ...]
    on_failure: FailurePolicy

    def __len__(self) -> int:
        return len(self.events)

    # Any: products of several producers.
    def by_event(self, fill: Fill = None) -> Iterator[tuple[AnyEvent, dict[str, Any]]]:
        """Yield each event with its products by step, None or `fill` where it failed.

        Parameters
        ----------
        fill : object, or callable
            Used with the policy ``fill`` only; a function gets the event.
        """
        columns = {name: iter(each) for name, each in self.products.items()}
        failed = self._failed_by_step()
        for index, event in enumerate(self.events):
            own = {name: next(column) for name, column in columns.items()}
            for name in own if failed else ():
                if index in failed.get(name, ()):
                    own[name] = self._stand_in(event, fill)
            yield event, own

    def _stand_in(self, event: AnyEvent, fill: Fill) -> Any:
        if self.on_failure != "fill":
            return None
        return fill(event) if callable(fill) else fill

    def _failed_by_step(self) -> dict[str, set[int]]:
        if not self.failures:
            return {}
        found: dict[str, set[int]] = {}
        position = {event.entry: index for index, event in enumerate(self.events)}
        for failure in self.failures:
            found.setdefault(failure.producer, set()).add(position[failure.entry])
        return found
