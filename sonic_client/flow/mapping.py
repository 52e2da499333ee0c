"""`map`: many requests in flight, one outcome each, in order.

Two of them, with the same `Conveyor`: one for an event loop, where the requests
are read by a task of their own; one for plain code, where they are read in the
caller's thread and sent by the loop's.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractContextManager, nullcontext, suppress

from sonic_client.batching import BatchPlanner
from sonic_client.flow.map_queue import Conveyor
from sonic_client.errors import ClientClosedError
from sonic_client.flow.in_flight import Flights
from sonic_client.flow.loop_thread import LoopThread
from sonic_client.flow.session import Session
from sonic_client.types import Outcome, Request
from sonic_client.flow.window import Departure, Landing, Window

__all__ = ["map_in_loop", "map_in_thread"]

_CLOSE_TIMEOUT_S = 2.0


async def map_in_loop(
    session: Session,
    requests: Iterable[Request] | AsyncIterable[Request],
    *,
    ordered: bool,
) -> AsyncGenerator[Outcome, None]:
    """Yield one outcome a request; the requests are read by a task, ahead of it."""
    belt = _Belt(session, ordered=ordered, lock=nullcontext())
    changed = asyncio.Event()
    belt.changed = changed.set
    belt.flights.accompany(belt.read(requests))
    conveyor = belt.conveyor
    try:
        while not conveyor.is_done:
            if outcomes := conveyor.deliver():
                belt.depart()
                for outcome in outcomes:
                    yield outcome
            else:
                changed.clear()
                await changed.wait()
    finally:
        await session.close_flights(belt.flights)


def map_in_thread(
    thread: LoopThread, requests: Iterable[Request], *, ordered: bool
) -> Iterator[Outcome]:
    """Yield one outcome a request; the requests are read in this thread."""
    # Held by itself, not through the condition, whose own way in and out is written in
    # Python: Ctrl-C there would leave the lock taken for ever.
    lock = threading.RLock()
    changed = threading.Condition(lock)
    belt = _Belt(thread.session, ordered=ordered, lock=lock)
    belt.changed = changed.notify
    conveyor, check = belt.conveyor, thread.session.check

    def depart() -> None:
        if belt.hand_over():
            thread.call_soon(belt.start_handed_over)
        if belt.wants_timer():
            thread.call_soon(belt.start_timer)

    def deliver(until: Callable[[], bool]) -> Sequence[Outcome]:
        """Return the outcomes that are next, waiting for them until a condition."""
        while not (outcomes := conveyor.deliver()) and not until():
            changed.wait()
        if outcomes:
            depart()
        return outcomes

    def has_room() -> bool:
        return conveyor.has_room

    try:
        for request in requests:
            item = check(request)
            with lock:
                conveyor.put(item)
                depart()
                outcomes = deliver(has_room)
            while outcomes:
                yield from outcomes
                with lock:
                    outcomes = deliver(has_room)
        with lock:
            conveyor.finish()
            depart()
        while True:
            with lock:
                outcomes = deliver(lambda: conveyor.is_done)
            if not outcomes:
                return
            yield from outcomes
    finally:
        # A closed client has cancelled the flights already. The bound is for a
        # generator that is finalised after the interpreter stopped the thread.
        with suppress(ClientClosedError):
            thread.run(
                lambda: thread.session.close_flights(belt.flights),
                timeout_s=_CLOSE_TIMEOUT_S,
            )


class _Belt:
    """A conveyor with its flights and its timer, in the event loop."""

    changed: Callable[[], object]

    def __init__(
        self, session: Session, *, ordered: bool, lock: AbstractContextManager[object]
    ) -> None:
        self.conveyor = Conveyor(
            BatchPlanner(session.limits),
            Window(
                session.config.window,
                ordered=ordered,
                adaptive=session.adaptive_window,
            ),
            max_delay_s=session.config.batching.max_delay_s,
            clock=session.timing.clock,
        )
        self.flights: Flights = session.open_flights(self._landed)
        self._check, self._timing = session.check, session.timing
        self._lock = lock
        self._unread: Iterator[Request] | None = None
        self._handed_over: deque[Departure] = deque()
        self._has_timer = False
        self._room = asyncio.Event()

    async def read(self, requests: Iterable[Request] | AsyncIterable[Request]) -> None:
        """Put the requests on the conveyor as there is room."""
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    self.conveyor.put(self._check(request))
                    self.depart()
                    await self._for_room()
                self.conveyor.finish()
            else:
                self._unread = iter(requests)
                while self._unread is not None:
                    self._read_next(self._unread)
                    self.depart()
                    await self._for_room()
            self.depart()
        except Exception as error:  # raised again where the outcomes are awaited
            self.conveyor.fail(error)
        self.changed()

    def _read_next(self, requests: Iterator[Request]) -> None:
        try:
            self.conveyor.put(self._check(next(requests)))
        except StopIteration:
            self._unread = None
            self.conveyor.finish()
        except Exception as error:
            self._unread = None
            self.conveyor.fail(error)

    async def _for_room(self) -> None:
        if self.conveyor.has_room:
            await asyncio.sleep(0)  # lets it take off before the next is read
        while not self.conveyor.has_room:
            self._room.clear()
            await self._room.wait()

    def hand_over(self) -> bool:
        """Take what may be sent now, in another thread, for the event loop to send.

        Returns
        -------
        bool
            Whether `start_handed_over` must be called: not for each one, if the event
            loop is busy while several are handed over.
        """
        was_empty = not self._handed_over
        self._handed_over += self.conveyor.departures()
        return was_empty and bool(self._handed_over)

    def start_handed_over(self) -> None:
        """Send what was handed over, in the event loop."""
        with self._lock:
            while self._handed_over:
                self.flights.start(*self._handed_over.popleft())

    def depart(self) -> None:
        """Send what may be sent now, in the event loop."""
        while self._handed_over:
            self.flights.start(*self._handed_over.popleft())
        for departure in self.conveyor.departures():
            self.flights.start(*departure)
        if self.conveyor.has_room:
            self._room.set()
        if self.wants_timer():
            self.start_timer()

    def wants_timer(self) -> bool:
        """Whether a batch waits and nothing will let it go; true once."""
        if self._has_timer or self.conveyor.seconds_left() is None:
            return False
        self._has_timer = True
        return True

    def start_timer(self) -> None:
        """Let batches go when they have waited long enough."""
        self.flights.accompany(self._watch_delay())

    async def _watch_delay(self) -> None:
        while True:
            with self._lock:
                self.conveyor.check_delay()
                self.depart()
                wait_s = self.conveyor.seconds_left()
                if wait_s is None:
                    self._has_timer = False
                    return
            await self._timing.sleep(wait_s)

    def _landed(self, landing: Landing) -> None:
        with self._lock:
            self.conveyor.land(landing)
            self.depart()
            if self._unread is not None and self.conveyor.has_room:
                # Here, because the reader's turn comes later than the free place.
                self._read_next(self._unread)
                self.depart()
            if self.conveyor.has_delivery:
                self.changed()
