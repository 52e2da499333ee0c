"""The events of a job: several files, read as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from producers.base import EventChunk
from producers.readers.prefetch import prefetched

__all__ = ["EventFile", "EventSource"]


class EventFile(Protocol):
    """A file whose kind, columns and number of events are known."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def n_events(self) -> int:
        """Number of events in it."""

    def chunks(self, n_events: int, chunk_size: int | None) -> Iterator[EventChunk]:
        """Read the first `n_events` events, `chunk_size` at a time.

        Without a chunk size, the reader chooses one that bounds the memory.
        """


class EventSource:
    """Iterable over the chunks of all files, in order; can be iterated again.

    The next chunk is read in a background thread while one is in use. A file is
    open only while its chunks are read.

    Parameters
    ----------
    files : sequence of EventFile
    max_events : int, optional
        Stop after so many events.
    chunk_size : int, optional
        Events per chunk.
    """

    def __init__(
        self,
        files: Sequence[EventFile],
        *,
        max_events: int | None = None,
        chunk_size: int | None = None,
    ) -> None:
        self.files = tuple(files)
        self._chunk_size = chunk_size
        left = sum(file.n_events for file in files)
        left = left if max_events is None else min(left, max_events)
        self._n_events = left
        self._shares = []
        for file in self.files:
            share = min(file.n_events, left)
            self._shares.append(share)
            left -= share

    def __len__(self) -> int:
        """Return the number of events, known before any is read."""
        return self._n_events

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the files, as text."""
        return tuple(str(file.path) for file in self.files)

    def __iter__(self) -> Iterator[EventChunk]:
        return prefetched(self._chunks())

    def _chunks(self) -> Iterator[EventChunk]:
        for file, share in zip(self.files, self._shares, strict=True):
            if share:
                yield from file.chunks(share, self._chunk_size)
