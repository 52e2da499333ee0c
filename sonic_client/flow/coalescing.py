"""Concurrent `infer` calls of one client, joined into messages."""

from __future__ import annotations

import asyncio
from itertools import count

from sonic_client.batching import BatchPlanner, CheckedRequest, MessageLimits
from sonic_client.flow.in_flight import Flights
from sonic_client.retry import Timing
from sonic_client.types import Outcome
from sonic_client.flow.window import Landing

__all__ = ["Joiner"]


class Joiner:
    """Lets requests that are made at the same time travel together.

    A request leaves when its message is full, when nothing else is in flight, or
    when it has waited long enough: so a lone call never waits, and many calls at
    once share few messages (as in J. Nagle, RFC 896, for small packets).

    Parameters
    ----------
    limits : MessageLimits
    max_delay_s : float
        Seconds that a request waits at most.
    timing : Timing

    Notes
    -----
    Belongs to one event loop. `flights` must be set before its first use, with
    `landed` as what hears of landings.
    """

    flights: Flights

    def __init__(
        self, limits: MessageLimits, *, max_delay_s: float, timing: Timing
    ) -> None:
        self._planner = BatchPlanner(limits)
        self._max_delay_s, self._timing = max_delay_s, timing
        self._results: dict[CheckedRequest, asyncio.Future[Outcome]] = {}
        self._in_flight: dict[int, list[CheckedRequest]] = {}
        self._tickets = count()
        self._due_at = 0.0
        self._has_timer = False

    async def infer(self, item: CheckedRequest) -> Outcome:
        """Return the outcome of a request.

        Cancelling the caller takes the request out of a message that has not
        left; a message that has is cancelled when nobody waits for it any more.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Outcome] = loop.create_future()
        self._results[item] = result
        for batch in self._planner.add(item):
            self._depart(batch)
        if len(self._planner) == 1:
            self._due_at = self._timing.clock() + self._max_delay_s
            # Calls that are ready to run in this turn of the loop may still join.
            loop.call_soon(self._depart_if_idle)
            self._start_timer()
        try:
            return await result
        finally:
            self._forget(item)

    def landed(self, landing: Landing) -> None:
        """Hand out the outcomes of a message."""
        batch = self._in_flight.pop(landing.ticket)
        for place, item in enumerate(batch):
            result = self._results.get(item)
            if result is None or result.done():
                continue
            if isinstance(landing.result, Exception):
                result.set_exception(landing.result)
            else:
                result.set_result(landing.result[place])
        self._depart_if_idle()

    def _depart_if_idle(self) -> None:
        if not self._in_flight:
            self._flush()

    def _flush(self) -> None:
        for batch in self._planner.flush():
            self._depart(batch)

    def _depart(self, batch: list[CheckedRequest]) -> None:
        ticket = next(self._tickets)
        self._in_flight[ticket] = batch
        self.flights.start(ticket, batch)

    def _forget(self, item: CheckedRequest) -> None:
        del self._results[item]
        if self._planner.remove(item):
            return
        for ticket, batch in self._in_flight.items():
            if item in batch and not any(each in self._results for each in batch):
                self.flights.abandon(ticket)

    def _start_timer(self) -> None:
        if not self._has_timer:
            self._has_timer = True
            self.flights.accompany(self._watch_delay())

    async def _watch_delay(self) -> None:
        try:
            while len(self._planner):
                wait_s = self._due_at - self._timing.clock()
                if wait_s <= 0.0:
                    self._flush()
                else:
                    await self._timing.sleep(wait_s)
        finally:
            self._has_timer = False
