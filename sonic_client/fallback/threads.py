"""Functions that take their time, beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

__all__ = ["call_in_thread"]

ResultT = TypeVar("ResultT")


def call_in_thread(function: Callable[[], ResultT]) -> asyncio.Future[ResultT]:
    """Start a function in a thread of its own; return the future of its result.

    Not `asyncio.to_thread`: the interpreter waits for the threads of that at exit,
    so a function that hangs would keep Ctrl-C from ending the job.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ResultT] = loop.create_future()

    def finish(set_outcome: Callable[[], None]) -> None:
        if not future.done():  # cancelled meanwhile
            set_outcome()

    def run() -> None:
        set_outcome: Callable[[], None]
        try:
            result = function()
        except BaseException as error:  # raised again where the future is awaited
            failure = error
            set_outcome = lambda: future.set_exception(failure)  # noqa: E731
        else:
            set_outcome = lambda: future.set_result(result)  # noqa: E731
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(finish, set_outcome)

    threading.Thread(target=run, name="sonic-fallback", daemon=True).start()
    return future
