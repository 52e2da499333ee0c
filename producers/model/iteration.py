"""Iterators that are closed when their use ends, not when they are collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["iterating"]

T = TypeVar("T")


@contextmanager
def iterating(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Give an iterator over the items; a generator is closed with the block.

    Closing is what ends the threads, files and requests behind a generator.
    """
    iterator = iter(items)
    try:
        yield iterator
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
