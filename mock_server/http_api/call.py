"""One HTTP request, as the parts of the service see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from mock_server.scheduling.threads import waiting
from mock_server.wire.inference import Cancellation

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was read to its end, and what to do about its connection."""

    method: str
    body: bytes
    headers: dict[str, str]
    """By lower-case name."""

    cancellation: Cancellation
    drop_connection: Callable[[], object]
    threads: Executor
    """For what may block."""

    async def in_thread(
        self, function: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> ResultT:
        """Result of a function that may block: a planned fault, the load of a model."""

        def run() -> ResultT:
            with waiting():
                return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self.threads, run)
