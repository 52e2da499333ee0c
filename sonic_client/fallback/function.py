"""A function of this process that is called as if it were a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np

from sonic_client.errors import ServerFaultError, TryTimedOutError
from sonic_client.transport.base import InferCall, InferReply
from sonic_client.types import Tensors

__all__ = ["FallbackFunction", "InProcessModel", "call_in_thread"]

FallbackFunction: TypeAlias = Callable[[Tensors], Tensors]

ResultT = TypeVar("ResultT")


def call_in_thread(function: Callable[[], ResultT]) -> asyncio.Future[ResultT]:
    """Start a function in a thread of its own; return the future of its result.

    Not `asyncio.to_thread`: at exit the interpreter waits for the threads of that,
    so a function that hangs would keep Ctrl-C from ending the job.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ResultT] = loop.create_future()

    def finish(set_outcome: Callable[[], None]) -> None:
        if not future.done():  # it may have been cancelled meanwhile
            set_outcome()

    def run() -> None:
        set_outcome: Callable[[], None]
        try:
            result = function()
        except BaseException as error:  # raised again where the future is awaited
            set_outcome = partial(future.set_exception, error)
        else:
            set_outcome = partial(future.set_result, result)
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(finish, set_outcome)

    threading.Thread(target=run, name="sonic-fallback", daemon=True).start()
    return future


class InProcessModel:
    """A function from named tensors to named tensors with a server's `infer`.

    Parameters
    ----------
    function : callable
        Is called in a thread. An exception in it fails the request, and is the
        cause of the request's error.
    name : str
        Its name in errors.
    max_concurrent : int
        Calls at the same time. A call whose caller was cancelled runs to its end, and
        counts.
    """

    def __init__(
        self, function: FallbackFunction, *, name: str, max_concurrent: int
    ) -> None:
        self._function, self._name = function, name
        self._slots = asyncio.Semaphore(max_concurrent)

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Call the function; give up waiting after `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                outputs = await self._call(call.inputs)
        except TimeoutError as error:
            raise TryTimedOutError(
                server=self._name,
                status="DEADLINE_EXCEEDED",
                details=f"no answer within {timeout_s:g} s",
            ) from error
        return InferReply(
            model_version="", outputs={k: np.asarray(v) for k, v in outputs.items()}
        )

    async def _call(self, inputs: Tensors) -> Tensors:
        await self._slots.acquire()
        future = call_in_thread(lambda: self._attempt(inputs))
        try:
            outcome = await asyncio.shield(future)
        finally:
            # A thread cannot be cancelled: its slot is free when it has ended.
            future.add_done_callback(lambda _: self._slots.release())
        if isinstance(outcome, Exception):
            raise ServerFaultError(
                server=self._name,
                status="INTERNAL",
                details=f"{type(outcome).__name__}: {outcome}",
            ) from outcome
        return outcome

    def _attempt(self, inputs: Tensors) -> Tensors | Exception:
        try:
            return self._function(inputs)
        except Exception as error:  # becomes the cause of the request's error
            return error
