"""A generator that blocks, for asyncio: run in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["iterate_in_thread"]

T = TypeVar("T")


async def iterate_in_thread(items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Yield the items without blocking the event loop while they are made.

    One is made at a time, and only when it is asked for. The generator runs in one
    thread from its beginning to its closing. Closing it waits for the item that is
    being made; the event loop goes on meanwhile, also if the caller is cancelled.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="event-loop")
    try:
        while True:
            item = await loop.run_in_executor(thread, next, items, None)
            if item is None:
                return
            yield item
    finally:
        closing = loop.run_in_executor(thread, items.close)
        thread.shutdown(wait=False)  # ends once it has closed the generator
        await asyncio.shield(closing)
