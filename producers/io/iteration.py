"""Iterators that are closed when their use ends, and reading one item ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def iterating(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Give an iterator over the items, and close it at the end of the block.

    Closing a generator ends the threads, files and requests behind it.
    `contextlib.closing` does not do, because not every iterator has ``close``.
    """
    iterator = iter(items)
    try:
        yield iterator
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """Yield the items while a background thread makes the next one.

    At most one item is kept ready, so memory stays bounded. An error is raised in
    its place among the items. Closing the generator waits for the item that is
    being made, and closes `items` if it is a generator.
    """
    end = object()
    # The thread ends before `items` is closed, because a running generator cannot
    # be closed.
    with (
        iterating(items) as iterator,
        ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread,
    ):
        ahead = thread.submit(next, iterator, end)
        while (item := ahead.result()) is not end:
            ahead = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # `end` is excluded above
