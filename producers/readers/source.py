"""The events of a job: several files, read as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from producers.model.errors import InvalidEventError
from producers.model.event import EventChunk
from producers.model.iteration import iterating
from producers.readers.location import Location
from producers.readers.prefetch import prefetched
from sonic_base.errors import ConfigError

__all__ = ["EventFile", "EventSource"]


class EventFile(Protocol):
    """A file whose kind, columns and number of events are known."""

    @property
    def path(self) -> Location:
        """Where it is."""

    @property
    def n_events(self) -> int:
        """Number of events in it."""

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events from `start` to before `stop`, `chunk_size` at a time.

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

    Notes
    -----
    Iterating raises `InvalidEventError` where a file has the same event twice: its
    results could not be told apart. Files may each count from zero.
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
        n_events = sum(file.n_events for file in files)
        n_events = n_events if max_events is None else min(n_events, max_events)
        self._range = (0, n_events)

    def __len__(self) -> int:
        """Return the number of events, known before any is read."""
        return self._range[1] - self._range[0]

    def between(self, start: int, stop: int | None = None) -> EventSource:
        """Return the source of some of these events, counted from zero.

        Raises
        ------
        ConfigError
            If there are not so many events.
        """
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            raise ConfigError(
                f"events {start} to {stop} were asked for, there are {len(self)}"
            )
        part = EventSource(self.files, chunk_size=self._chunk_size)
        part._range = (self._range[0] + start, self._range[0] + stop)
        return part

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the files, as text."""
        return tuple(str(file.path) for file in self.files)

    def __iter__(self) -> Iterator[EventChunk]:
        return prefetched(self._chunks())

    def _chunks(self) -> Iterator[EventChunk]:
        before, (start, stop) = 0, self._range
        for file in self.files:
            low = max(start - before, 0)
            high = min(stop - before, file.n_events)
            before += file.n_events
            if low < high:
                yield from _distinct(file.chunks(low, high, self._chunk_size))


def _distinct(chunks: Iterator[EventChunk]) -> Iterator[EventChunk]:
    seen: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    with iterating(chunks) as of_one_file:
        for chunk in of_one_file:
            _require_new(chunk, seen)
            seen = np.concatenate((seen, chunk.event_ids))
            yield chunk


def _require_new(chunk: EventChunk, seen: NDArray[np.int64]) -> None:
    ids = chunk.event_ids
    # Almost always the numbers rise, and nothing more is to be done.
    if (np.diff(ids) > 0).all() and (not seen.size or ids[0] > seen.max()):
        return
    is_first = np.zeros(len(ids), dtype=np.bool_)
    is_first[np.unique(ids, return_index=True)[1]] = True
    again = np.flatnonzero(~is_first | np.isin(ids, seen))
    if again.size:
        index = int(again[0])
        raise InvalidEventError(
            chunk.source,
            event_id=int(ids[index]),
            entry=chunk.first_entry + index,
            reason="there is another event of this number before it",
        )
