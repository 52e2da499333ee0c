"""The batches that are on their way, each a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from sonic_client.answering import Answering
from sonic_client.batching import CheckedRequest
from sonic_client.errors import ClientClosedError
from sonic_client.types import Outcome
from sonic_client.window import Landing

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
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: flights and companions
        self._by_ticket: dict[int, asyncio.Task[Sequence[Outcome] | Exception]] = {}
        self._is_closed = False

    def start(self, ticket: int, batch: Sequence[CheckedRequest]) -> None:
        """Send a batch, in the event loop's thread."""
        if self._is_closed:
            self._landed(Landing(ticket, _cancelled()))
            return
        task = self._task_group.create_task(self._fly(batch))
        self._tasks.add(task)
        self._by_ticket[ticket] = task
        task.add_done_callback(lambda task: self._land(ticket, task))

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
        if task := self._by_ticket.get(ticket):
            task.cancel()

    async def cancel(self) -> None:
        """Cancel what is in flight, and start nothing more."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_TIMEOUT_S)

    async def _fly(
        self, batch: Sequence[CheckedRequest]
    ) -> Sequence[Outcome] | Exception:
        try:
            return await self._answering.send(batch)
        except Exception as bug:  # raised again by Window.land
            return bug

    def _land(
        self, ticket: int, task: asyncio.Task[Sequence[Outcome] | Exception]
    ) -> None:
        self._tasks.discard(task)
        del self._by_ticket[ticket]
        result = _cancelled() if task.cancelled() else task.result()
        self._landed(Landing(ticket, result))


def _cancelled() -> ClientClosedError:
    return ClientClosedError("the client was closed with requests in flight")
