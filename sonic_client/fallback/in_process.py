"""A function of this process in the place of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from sonic_client.errors import RejectedRequestError, TryTimedOutError
from sonic_client.fallback.threads import call_in_thread
from sonic_client.transport.base import InferCall, InferReply
from sonic_client.types import Tensors

__all__ = ["FallbackFunction", "InProcessModel"]

FallbackFunction: TypeAlias = Callable[[Tensors], Tensors]


class InProcessModel:
    """A function from named tensors to named tensors, asked as a server is.

    Parameters
    ----------
    function : callable
        Is called in a thread. What it raises fails the request, with the
        exception as its cause.
    name : str
        What it is called in errors.
    max_concurrent : int
        Calls at once. One whose caller was cancelled runs to its end, and counts.
    """

    def __init__(
        self, function: FallbackFunction, *, name: str, max_concurrent: int
    ) -> None:
        self._function, self._name = function, name
        self._slots = asyncio.Semaphore(max_concurrent)

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Call the function; give up waiting after so many seconds."""
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

    async def _call(self, inputs: Tensors) -> Mapping[str, Any]:
        await self._slots.acquire()
        future = call_in_thread(lambda: self._attempt(inputs))
        future.add_done_callback(lambda _: None)
        try:
            outcome = await asyncio.shield(future)
        finally:
            # A thread cannot be cancelled: the slot is free when it has ended.
            future.add_done_callback(lambda _: self._slots.release())
        if isinstance(outcome, Exception):
            raise RejectedRequestError(
                server=self._name,
                status="INTERNAL",
                details=f"{type(outcome).__name__}: {outcome}",
            ) from outcome
        return outcome

    def _attempt(self, inputs: Tensors) -> Mapping[str, Any] | Exception:
        try:
            return self._function(inputs)
        except Exception as error:  # becomes the cause of the request's failure
            return error
