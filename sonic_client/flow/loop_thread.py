"""A session in a thread and an event loop of its own, for blocking callers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeVar

from sonic_client.errors import ClientClosedError
from sonic_client.flow.session import Session
from sonic_client.transport.process_guard import ProcessGuard

__all__ = ["LoopThread"]

ResultT = TypeVar("ResultT")

# Closing takes milliseconds. The thread is a daemon: one that hangs is left behind.
_JOIN_TIMEOUT_S = 5.0


class LoopThread:
    """Runs a session until it is closed; its methods are for other threads.

    Parameters
    ----------
    opener : callable
        Returns the context manager of the session, in the event loop.

    Attributes
    ----------
    session : Session
        Set by `open`.
    """

    session: Session

    def __init__(
        self, opener: Callable[[], AbstractAsyncContextManager[Session]]
    ) -> None:
        self._opener = opener
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]]
        self._started = Future()
        self._ready: Future[Session] = Future()
        self._ended: Future[None] = Future()
        # Makes the check "is it open" and the call to the loop one step, so that
        # everything called runs before the loop stops. Reentrant, because the garbage
        # collector may finalise a generator of `Client.map` while it is held.
        self._gate = threading.RLock()
        self._is_open = False
        self._guard = ProcessGuard("the client")
        self._thread = threading.Thread(
            target=self._run, name="sonic-client", daemon=True
        )

    @property
    def is_open(self) -> bool:
        """Whether calls are accepted."""
        return self._is_open

    def open(self) -> None:
        """Start the thread; return when the session is open, or raise its error."""
        self._thread.start()
        self._loop, main_task = self._started.result()
        try:
            self.session = self._ready.result()
        except BaseException:
            # Ctrl-C while it opens; after an error of its own the loop is closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(main_task.cancel)
            self._thread.join(_JOIN_TIMEOUT_S)
            raise
        self._is_open = True

    def close(self) -> None:
        """Cancel what is in flight and end the thread; raise its error, if any.

        Without effect in a fork, which has no such thread.
        """
        if self._guard.is_forked:
            return
        with self._gate:
            if not self._is_open:
                return
            self._is_open = False
            self._loop.call_soon_threadsafe(self._stop.set)
        self._ended.result(_JOIN_TIMEOUT_S)
        self._thread.join(_JOIN_TIMEOUT_S)

    def call_soon(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a function in the event loop, without waiting for it."""
        self._guard.check()  # before the gate, which the parent may have held
        with self._gate:
            self._refuse_if_closed()
            self._loop.call_soon_threadsafe(function, *arguments)

    def run(
        self,
        function: Callable[[], Coroutine[object, object, ResultT]],
        *,
        timeout_s: float | None = None,
    ) -> ResultT:
        """Return what a coroutine function returns; an exception here cancels it."""
        self._guard.check()
        with self._gate:
            self._refuse_if_closed()
            future = asyncio.run_coroutine_threadsafe(function(), self._loop)
        try:
            return future.result(timeout_s)
        except CancelledError as error:
            raise ClientClosedError("the client was closed during the call") from error
        except BaseException:
            future.cancel()
            raise

    def _refuse_if_closed(self) -> None:
        if not self._is_open:
            raise ClientClosedError("the client is closed")

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # raised in the caller's thread
            (self._ended if self._ready.done() else self._ready).set_exception(error)
        else:
            self._ended.set_result(None)

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        main_task = asyncio.current_task()
        assert main_task is not None  # a coroutine always runs in a task
        self._started.set_result((asyncio.get_running_loop(), main_task))
        async with self._opener() as session:
            self._ready.set_result(session)
            await self._stop.wait()
