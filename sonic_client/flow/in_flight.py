"""The batches that are on their way, carried by tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from sonic_client.answering import Answering
from sonic_client.batching import CheckedRequest
from sonic_client.errors import ClientClosedError
from sonic_client.types import Outcome
from sonic_client.flow.window import Departure, Landing

__all__ = ["Flights"]

# Cancelling a call takes about a millisecond; a transport that does not let go
# must not keep the caller's Ctrl-C waiting.
_CANCEL_TIMEOUT_S = 1.0


class Flights:
    """Starts batches, and tells about each of them exactly once how it ended.

    Parameters
    ----------
    answering : Answering
        Sends them.
    tasks : TaskGroup
        Owns the tasks. No exception reaches it: a bug in one task is carried to
        the one who iterates, instead of ending everybody's.
    landed : callable
        Is called in the event loop with every landing, also of a batch that was
        cancelled before it began.
    """

    def __init__(
        self,
        answering: Answering,
        tasks: asyncio.TaskGroup,
        landed: Callable[[Landing], None],
    ) -> None:
        self._answering = answering
        self._task_group = tasks
        self._landed = landed
        self._tasks: set[asyncio.Task[None]] = set()  # carriers and companions
        self._carriers: dict[int, asyncio.Task[None]] = {}
        self._next: Departure | None = None
        self._has_free_carrier = self._is_closed = False

    def start(self, ticket: int, batch: Sequence[CheckedRequest]) -> None:
        """Send a batch, in the event loop's thread."""
        if self._is_closed:
            self._landed(Landing(ticket, _cancelled()))
            return
        departure = Departure(ticket, batch)
        if self._has_free_carrier and self._next is None:
            self._next = departure
            return
        task = self._task_group.create_task(self._carry(departure))
        self._tasks.add(task)
        self._carriers[ticket] = task
        task.add_done_callback(self._end)

    def accompany(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine beside the flights, until `cancel`.

        It must carry its exceptions to where they belong itself.
        """
        if self._is_closed:
            coroutine.close()
            return
        task = self._task_group.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abandon(self, ticket: int) -> None:
        """Cancel one batch, if it is still in flight."""
        if task := self._carriers.get(ticket):
            task.cancel()

    async def cancel(self) -> None:
        """Cancel what is in flight, and start nothing more."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_TIMEOUT_S)

    async def _carry(self, departure: Departure | None) -> None:
        """Send a batch, and then the one that departs for it, if one does.

        So a task does for many batches, and the next is sent without a turn of the
        event loop in between.
        """
        task = asyncio.current_task()
        assert task is not None  # a coroutine always runs in a task
        while departure is not None:
            ticket, batch = departure
            self._carriers[ticket] = task
            result: Sequence[Outcome] | Exception
            try:
                result = await self._answering.send(batch)
            except Exception as bug:  # raised again by Window.land
                result = bug
            del self._carriers[ticket]
            departure = self._land(Landing(ticket, result))

    def _land(self, landing: Landing) -> Departure | None:
        """Tell of a landing; return a batch that departs because of it."""
        self._has_free_carrier = True
        try:
            self._landed(landing)
        finally:
            self._has_free_carrier = False
            departure, self._next = self._next, None
        return departure

    def _end(self, task: asyncio.Task[None]) -> None:
        """Tell of the batch that a cancelled task carried."""
        self._tasks.discard(task)
        if task.cancelled():
            held = [ticket for ticket, each in self._carriers.items() if each is task]
            for ticket in held:
                del self._carriers[ticket]
                self._landed(Landing(ticket, _cancelled()))


def _cancelled() -> ClientClosedError:
    return ClientClosedError("the client was closed with requests in flight")
