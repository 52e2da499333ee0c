"""The messages in flight, each sent by a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from sonic_client.batching import CheckedRequest
from sonic_client.errors import ClientClosedError
from sonic_client.flow.window import Finished, Ready
from sonic_client.message import Dispatcher
from sonic_client.types import Outcome

__all__ = ["InFlight"]

# Cancelling a call takes about a millisecond; a transport that does not react must
# not delay the caller's Ctrl-C.
_CANCEL_TIMEOUT_S = 1.0


class InFlight:
    """Sends batches in tasks, and reports the end of each exactly once.

    Parameters
    ----------
    tasks : TaskGroup
        Owns the tasks. No exception reaches it: a bug in one task is passed to the
        caller that waits for its outcomes, instead of ending everybody's tasks.
    finished : callable
        Is called in the event loop with the end of every batch, also of one that was
        cancelled before it began.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        tasks: asyncio.TaskGroup,
        finished: Callable[[Finished], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._task_group = tasks
        self._report = finished
        self._tasks: set[asyncio.Task[None]] = set()  # of batches, and helpers
        self._senders: dict[int, asyncio.Task[None]] = {}
        self._next: Ready | None = None
        self._has_free_sender = self._is_closed = False

    def start(self, number: int, batch: Sequence[CheckedRequest]) -> None:
        """Send a batch, in the event loop's thread."""
        if self._is_closed:
            self._report(Finished(number, _cancelled()))
            return
        ready = Ready(number, batch)
        if self._has_free_sender and self._next is None:
            self._next = ready
            return
        task = self._task_group.create_task(self._send(ready))
        self._tasks.add(task)
        self._senders[number] = task
        task.add_done_callback(self._end)

    def run_beside(self, coroutine: Coroutine[object, object, None]) -> None:
        """Run a helper until `cancel_all`; it must handle its own exceptions."""
        if self._is_closed:
            coroutine.close()
            return
        task = self._task_group.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, number: int) -> None:
        """Cancel one batch, if it is still in flight."""
        if task := self._senders.get(number):
            task.cancel()

    async def cancel_all(self) -> None:
        """Cancel everything, and start nothing more."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_TIMEOUT_S)

    async def _send(self, ready: Ready | None) -> None:
        """Send a batch, and then the one that its end makes ready, if any.

        So one task sends many batches, without a turn of the event loop between two.
        """
        task = asyncio.current_task()
        assert task is not None  # a coroutine always runs in a task
        while ready is not None:
            number, batch = ready
            self._senders[number] = task
            result: Sequence[Outcome] | Exception
            try:
                result = await self._dispatcher.send(batch)
            except Exception as bug:  # raised again by Window.finish
                result = bug
            del self._senders[number]
            ready = self._finish(Finished(number, result))

    def _finish(self, finished: Finished) -> Ready | None:
        """Report the end of a batch; return a batch that was started because of it."""
        self._has_free_sender = True
        try:
            self._report(finished)
        finally:
            self._has_free_sender = False
            ready, self._next = self._next, None
        return ready

    def _end(self, task: asyncio.Task[None]) -> None:
        """Report the end of the batch that a cancelled task was sending."""
        self._tasks.discard(task)
        if task.cancelled():
            left = [number for number, each in self._senders.items() if each is task]
            for number in left:
                del self._senders[number]
                self._report(Finished(number, _cancelled()))


def _cancelled() -> ClientClosedError:
    return ClientClosedError("the client was closed with requests in flight")
