"""Reading ahead by one, in a background thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from producers.model.iteration import iterating

__all__ = ["prefetched"]

T = TypeVar("T")


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """Yield the items while the next one is already being made.

    At most one item is held back, so memory stays bounded. An error is raised in
    its place among the items. Closing the generator waits for the item that is
    being made, and closes `items` if it is a generator.
    """
    end = object()
    # The thread ends before `items` is closed: a generator that is still running
    # cannot be.
    with (
        iterating(items) as iterator,
        ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread,
    ):
        ahead = thread.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # the end is told apart above
