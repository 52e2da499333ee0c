"""Which requests a fault befalls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

from mock_server.core.planned_faults import INFER

INDEX = "RepositoryIndex"


class Arrival(NamedTuple):
    """A request at the door, before anything of it is checked."""

    number: int  #: 1 for the first inference request since the server was made
    model_name: str  #: empty if the request names none
    request_id: str  #: empty if the client gave none
    model_number: int = 1  #: the same count, of this model's requests alone
    size_bytes: int = 0  #: of all input tensors in wire form
    rpc: str = INFER  #: gRPC's name, over HTTP too; each name has counts of its own


Predicate = Callable[[Arrival], bool]


@dataclass(frozen=True, slots=True)
class Selection:
    """Requests by number, model, share, size or predicate: all that is given must hold.

    Numbers count from 1, in the order of arrival, each try of a client as one: over all
    models, or of one model where `model` names it.

    Raises
    ------
    ValueError
        If a number is below 1, or `share` not between 0 and 1.
    """

    numbers: tuple[int | range, ...] = ()
    """Single ones and ranges; none means any."""

    model: str | None = None

    share: float | None = None
    """Of the requests that meet all else; drawn by the plan's seed."""

    every: int | None = None
    """``every=10``: the 10th, the 20th, ..."""

    after: int = 0
    """Only requests after so many."""

    larger_than_bytes: int | None = None
    """Size of all input tensors together."""

    when: Predicate | None = None
    """Called in the request's thread; a plan is pickled with it if it is a function of
    a module."""

    rpc: str | None = INFER
    """gRPC's name, over HTTP too; None: all of them, health included."""

    def __post_init__(self) -> None:
        for each in self.numbers:
            lowest = min(each, default=1) if isinstance(each, range) else each
            if lowest < 1:
                raise ValueError(f"requests are counted from 1, got {each!r}")
        if self.share is not None and not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share must lie between 0 and 1, got {self.share}")
        if self.every is not None and self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")

    def matches(self, arrival: Arrival, draw: Callable[[], float]) -> bool:
        """Whether this request is one of them; `draw` gives a number in [0, 1)."""
        number = arrival.number if self.model is None else arrival.model_number
        return (
            self.rpc in (None, arrival.rpc)
            and self.model in (None, arrival.model_name)
            and number > self.after
            and (self.every is None or number % self.every == 0)
            and (not self.numbers or any(_holds(n, number) for n in self.numbers))
            and (
                self.larger_than_bytes is None
                or arrival.size_bytes > self.larger_than_bytes
            )
            and (self.when is None or bool(self.when(arrival)))
            and (self.share is None or draw() < self.share)
        )

    def __str__(self) -> str:
        written = [repr(number) for number in self.numbers]
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            if value != each.default:
                named = getattr(value, "__qualname__", None) or repr(value)
                written.append(f"{each.name}={named}")
        return ", ".join(written)


def _holds(numbers: int | range, number: int) -> bool:
    return number in numbers if isinstance(numbers, range) else number == numbers
