"""`map`: many requests in flight, one outcome each, in order.

There are two, with the same `MapQueue`: one for an event loop, where a task reads the
requests; one for plain code, where the caller's thread reads them and the loop's thread
sends them.
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
from sonic_client.errors import ClientClosedError
from sonic_client.flow.in_flight import InFlight
from sonic_client.flow.loop_thread import LoopThread
from sonic_client.flow.map_queue import MapQueue
from sonic_client.flow.session import Session
from sonic_client.flow.window import Finished, Ready, Window
from sonic_client.types import Outcome, Request

__all__ = ["map_in_loop", "map_in_thread"]

_CLOSE_TIMEOUT_S = 2.0

_UNTIL_SIGNALS_ARE_SEEN_S = 1.0
"""Python handles signals in the main thread, between two waits. The system may give one
to another thread, as after a job was stopped; then it does not end the wait."""


async def map_in_loop(
    session: Session,
    requests: Iterable[Request] | AsyncIterable[Request],
    *,
    ordered: bool,
) -> AsyncGenerator[Outcome, None]:
    """Yield one outcome a request; a task reads the requests ahead."""
    run = _MapRun(session, ordered=ordered, lock=nullcontext())
    changed = asyncio.Event()
    run.changed = changed.set
    run.in_flight.run_beside(run.read(requests))
    queue = run.queue
    try:
        while not queue.is_done:
            if outcomes := queue.deliver():
                run.send_ready()
                for outcome in outcomes:
                    yield outcome
            else:
                changed.clear()
                await changed.wait()
    finally:
        await session.close_in_flight(run.in_flight)


def map_in_thread(
    thread: LoopThread, requests: Iterable[Request], *, ordered: bool
) -> Iterator[Outcome]:
    """Yield one outcome a request; this thread reads the requests."""
    # Code below enters the lock, not the condition: its enter and exit are written in
    # Python, and Ctrl-C there would leave the lock taken for ever.
    lock = threading.RLock()
    changed = threading.Condition(lock)
    run = _MapRun(thread.session, ordered=ordered, lock=lock)
    run.changed = changed.notify
    queue, check = run.queue, thread.session.check

    def send_ready() -> None:
        if run.hand_over():
            thread.call_soon(run.send_handed_over)
        if run.needs_timer():
            thread.call_soon(run.start_timer)

    def deliver(until: Callable[[], bool]) -> Sequence[Outcome]:
        """Return the next outcomes, waiting for them unless a condition holds."""
        while not (outcomes := queue.deliver()) and not until():
            changed.wait(_UNTIL_SIGNALS_ARE_SEEN_S)
        if outcomes:
            send_ready()
        return outcomes

    def can_read() -> bool:
        return not queue.is_full

    try:
        for request in requests:
            item = check(request)
            with lock:
                queue.put(item)
                send_ready()
                outcomes = deliver(can_read)
            while outcomes:
                yield from outcomes
                with lock:
                    outcomes = deliver(can_read)
        with lock:
            queue.close()
            send_ready()
        while True:
            with lock:
                outcomes = deliver(lambda: queue.is_done)
            if not outcomes:
                return
            yield from outcomes
    finally:
        # A closed client has cancelled everything already. The timeout is for a
        # generator that is finalised after the interpreter stopped the thread.
        with suppress(ClientClosedError):
            thread.run(
                lambda: thread.session.close_in_flight(run.in_flight),
                timeout_s=_CLOSE_TIMEOUT_S,
            )


class _MapRun:
    """One `map`: its queue, its messages in flight and its timer, in the event loop.

    Attributes
    ----------
    changed : callable
        Is called when the consumer should look at the queue again.
    """

    changed: Callable[[], object]

    def __init__(
        self, session: Session, *, ordered: bool, lock: AbstractContextManager[object]
    ) -> None:
        self.queue = MapQueue(
            BatchPlanner(session.limits),
            Window(
                session.config.window,
                ordered=ordered,
                adaptive=session.adaptive_window,
            ),
            max_delay_s=session.config.batching.max_delay_s,
            clock=session.timing.clock,
        )
        self.in_flight: InFlight = session.open_in_flight(self._finish)
        self._check, self._timing = session.check, session.timing
        self._lock = lock
        self._unread: Iterator[Request] | None = None
        self._handed_over: deque[Ready] = deque()
        self._has_timer = False
        self._can_read = asyncio.Event()

    async def read(self, requests: Iterable[Request] | AsyncIterable[Request]) -> None:
        """Put the requests in the queue whenever it is not full."""
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    self.queue.put(self._check(request))
                    self.send_ready()
                    await self._until_not_full()
                self.queue.close()
            else:
                self._unread = iter(requests)
                while self._unread is not None:
                    self._read_next(self._unread)
                    self.send_ready()
                    await self._until_not_full()
            self.send_ready()
        except Exception as error:  # raised again where the outcomes are awaited
            self.queue.fail(error)
        self.changed()

    def _read_next(self, requests: Iterator[Request]) -> None:
        try:
            self.queue.put(self._check(next(requests)))
        except StopIteration:
            self._unread = None
            self.queue.close()
        except Exception as error:
            self._unread = None
            self.queue.fail(error)

    async def _until_not_full(self) -> None:
        if not self.queue.is_full:
            await asyncio.sleep(0)  # so that a message is sent before the next is read
        while self.queue.is_full:
            self._can_read.clear()
            await self._can_read.wait()

    def hand_over(self) -> bool:
        """Take what can be sent, in another thread, for the event loop to send.

        Returns
        -------
        bool
            Whether `send_handed_over` must be called. While the event loop is busy,
            one call is enough for all that was handed over meanwhile.
        """
        was_empty = not self._handed_over
        self._handed_over += self.queue.take_ready()
        return was_empty and bool(self._handed_over)

    def send_handed_over(self) -> None:
        """Send what was handed over, in the event loop."""
        with self._lock:
            while self._handed_over:
                self.in_flight.start(*self._handed_over.popleft())

    def send_ready(self) -> None:
        """Send what can be sent now, in the event loop."""
        while self._handed_over:
            self.in_flight.start(*self._handed_over.popleft())
        for ready in self.queue.take_ready():
            self.in_flight.start(*ready)
        if not self.queue.is_full:
            self._can_read.set()
        if self.needs_timer():
            self.start_timer()

    def needs_timer(self) -> bool:
        """Whether `start_timer` must be called, because a batch waits; true once."""
        if self._has_timer or self.queue.seconds_left() is None:
            return False
        self._has_timer = True
        return True

    def start_timer(self) -> None:
        """Send batches that have waited long enough."""
        self.in_flight.run_beside(self._watch_delay())

    async def _watch_delay(self) -> None:
        while True:
            with self._lock:
                self.queue.check_delay()
                self.send_ready()
                wait_s = self.queue.seconds_left()
                if wait_s is None:
                    self._has_timer = False
                    return
            await self._timing.sleep(wait_s)

    def _finish(self, finished: Finished) -> None:
        with self._lock:
            self.queue.finish(finished)
            self.send_ready()
            if self._unread is not None and not self.queue.is_full:
                # Here, because the reader's turn comes only later.
                self._read_next(self._unread)
                self.send_ready()
            if self.queue.has_delivery:
                self.changed()
