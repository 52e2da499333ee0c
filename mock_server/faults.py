"""Planned misbehaviour: what a client's retries are tested against."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import grpc

from mock_server.errors import ModelError


class Arrival(NamedTuple):
    """An inference request at the door, before anything of it is checked."""

    number: int  #: 1 for the first inference request since the server was made
    model_name: str
    request_id: str  #: empty if the client gave none


FaultHook = Callable[[Arrival], None]
"""Called in the request's own thread; raises ModelError to refuse it, or waits."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Which requests go wrong, by their number; a plan is a `FaultHook`.

    Requests are counted in the order of arrival, over all models, each try of a client
    as one. A plan holds no counts, so that one plan may serve several servers.

    Examples
    --------
    >>> plan = FaultPlan().refuse(1, 2, code=StatusCode.UNAVAILABLE, message="full")
    >>> plan = plan.delay(3, delay_s=0.5)
    """

    refusals: Mapping[int, tuple[grpc.StatusCode, str]] = field(default_factory=dict)
    delays_s: Mapping[int, float] = field(default_factory=dict)

    def refuse(self, *numbers: int, code: grpc.StatusCode, message: str) -> "FaultPlan":
        """Plan that also answers these requests with an error, the model not run."""
        new = dict.fromkeys(numbers, (code, message))
        return replace(self, refusals={**self.refusals, **new})

    def delay(self, *numbers: int, delay_s: float) -> "FaultPlan":
        """Plan that also holds these requests back before they are looked at."""
        new = dict.fromkeys(numbers, delay_s)
        return replace(self, delays_s={**self.delays_s, **new})

    def __call__(self, arrival: Arrival) -> None:
        """Do to this request what is planned for its number."""
        if arrival.number in self.delays_s:
            time.sleep(self.delays_s[arrival.number])
        if arrival.number in self.refusals:
            raise ModelError(*self.refusals[arrival.number])
