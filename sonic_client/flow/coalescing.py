"""Concurrent `infer` calls of one client, joined in messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

from sonic_client.batching import BatchPlanner, CheckedRequest, MessageLimits
from sonic_client.flow.in_flight import InFlight
from sonic_client.flow.window import Finished
from sonic_client.retry import Timing
from sonic_client.types import Outcome

__all__ = ["Coalescer"]


class Coalescer:
    """Joins requests that are made at the same time.

    A batch is sent when it is full, when nothing else is in flight, or when its first
    request has waited long enough. So a single call never waits, and many calls at
    once share few messages (as in J. Nagle, RFC 896, for small packets).

    Parameters
    ----------
    open_in_flight : callable
        Returns an `InFlight` that reports to the function it is given.
    max_delay_s : float
        Seconds that a request waits at most.

    Notes
    -----
    Belongs to one event loop.
    """

    def __init__(
        self,
        limits: MessageLimits,
        open_in_flight: Callable[[Callable[[Finished], None]], InFlight],
        *,
        max_delay_s: float,
        timing: Timing,
    ) -> None:
        self._planner = BatchPlanner(limits)
        self._in_flight = open_in_flight(self._finish)
        self._max_delay_s, self._timing = max_delay_s, timing
        self._results: dict[CheckedRequest, asyncio.Future[Outcome]] = {}
        self._batches: dict[int, list[CheckedRequest]] = {}  # in flight, by number
        self._numbers = count()
        self._due_at = 0.0
        self._has_timer = False

    async def infer(self, item: CheckedRequest) -> Outcome:
        """Return the outcome of a request.

        Cancelling the caller takes the request out of a batch that is not sent yet; a
        message in flight is cancelled when nobody waits for it any more.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Outcome] = loop.create_future()
        self._results[item] = result
        for batch in self._planner.add(item):
            self._send(batch)
        if len(self._planner) == 1:
            self._due_at = self._timing.clock() + self._max_delay_s
            # Later, so that calls which are ready to run in this turn of the loop join.
            loop.call_soon(self._send_if_idle)
            self._start_timer()
        try:
            return await result
        finally:
            self._forget(item)

    def _finish(self, finished: Finished) -> None:
        """Hand out the outcomes of a message."""
        batch = self._batches.pop(finished.number)
        for index, item in enumerate(batch):
            result = self._results.get(item)
            if result is None or result.done():
                continue
            if isinstance(finished.result, Exception):
                result.set_exception(finished.result)
            else:
                result.set_result(finished.result[index])
        self._send_if_idle()

    def _send_if_idle(self) -> None:
        if not self._batches:
            self._flush()

    def _flush(self) -> None:
        for batch in self._planner.flush():
            self._send(batch)

    def _send(self, batch: list[CheckedRequest]) -> None:
        number = next(self._numbers)
        self._batches[number] = batch
        self._in_flight.start(number, batch)

    def _forget(self, item: CheckedRequest) -> None:
        del self._results[item]
        if self._planner.remove(item):
            return
        for number, batch in self._batches.items():
            if item in batch and not any(each in self._results for each in batch):
                self._in_flight.cancel(number)

    def _start_timer(self) -> None:
        if not self._has_timer:
            self._has_timer = True
            self._in_flight.run_beside(self._watch_delay())

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
