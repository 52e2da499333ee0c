"""Reading of events, truth and tracks, from files of any format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from producers.formats.base import (
    EventFile,
    EventFormat,
    ReadableTracks,
    ReadOptions,
    TruthFile,
    TruthFormat,
)
from producers.formats.guess import columns_file, truth_file
from producers.formats.jagged.tracks import ReadableRootTracks
from producers.formats.jagged.truth import open_truth
from producers.formats.parquet.tracks import ReadableParquetTracks
from producers.io.content import FileContent
from producers.io.iteration import iterating, prefetched
from producers.io.journal import PartialTracks, is_partial
from producers.io.location import Location, PathLike, locations
from producers.io.memory import tracks_array
from producers.model.candidates import TrackCandidates
from producers.model.errors import InvalidEventError, NoEventsError, SchemaError
from producers.model.event import EventChunk
from producers.model.features import FeatureScale
from producers.model.schema import ColumnMapping
from producers.model.track_block import TrackBlock
from producers.model.truth import TruthEvent
from producers.model.truth_schema import TruthMapping
from producers.model.types import Untyped
from producers.model.units import LengthUnit, checked_unit, in_mm
from sonic_base import ConfigError


def open_events(
    paths: PathLike | Sequence[PathLike],
    *,
    format: EventFormat | str | None = None,
    columns: ColumnMapping | None = None,
    unit: str | None = None,
    csv_scale: FeatureScale | None = None,
    max_events: int | None = None,
    chunk_size: int | None = None,
) -> EventSource:
    """Return the events of one or several files, in the order given.

    The format of a file is recognised by its content, not by its name. All files are
    opened before the first event is read, so a wrong one is found at once.

    Parameters
    ----------
    paths : path, or sequence of path
        Files, patterns, lists of files and URLs: see `producers.io.locations`.
    format : str or EventFormat, optional
        The format, instead of recognising it; a name in
        `producers.formats.registry.EVENT_FORMATS`.
    columns : ColumnMapping, optional
        The columns of the space points in ROOT or parquet files. Without it, the
        columns must be those of a known format.
    unit : {"mm", "cm", "m", "um"}, optional
        Unit of the positions in the files; by default that of `columns`, or else mm.
        The events have positions in mm.
    csv_scale : FeatureScale, optional
        The divisors of the columns of feature csv files. It is required for such
        files, because they do not contain it.
    max_events : int, optional
        Stop after this number of events, over all files.
    chunk_size : int, optional
        Events per chunk; by default as many as take 8 MB.

    Raises
    ------
    InputNotFoundError
        If a path leads to no file; all are checked before any is opened.
    UnreadableFileError
        If a file is of no known kind, truncated or damaged.
    SchemaError
        If a tree or a column is missing, with the nearest names; or if the files are
        not all in one format.
    NoEventsError
        If there is no event in any file.
    ConfigError
        If a file is given twice, a number is below one, a csv has no scale, several
        formats recognise a file, or the unit is unknown or not that of the format.
    """
    # Imported here for a fast start: it loads the modules of all formats.
    from producers.formats.registry import choose_event_format  # noqa: PLC0415

    for name, number in (("max_events", max_events), ("chunk_size", chunk_size)):
        if number is not None and number < 1:
            raise ConfigError(f"{name} must be at least 1, got {number}")
    used = checked_unit(unit or (columns.unit if columns is not None else "mm"))
    given = locations(paths)
    files: list[EventFile] = []
    first: EventFormat | None = None
    for position, path in enumerate(given):
        options = ReadOptions(columns=columns, csv_scale=csv_scale, position=position)
        content = FileContent(path)
        chosen = choose_event_format(content, options, format)
        first = first or chosen
        _require_same(first, chosen, given[0], path)
        _require_unit(chosen, used, path)
        with _columns_file_noted(columns_file, content):
            file = chosen.open(content, options)
        files.append(file if used == "mm" else _InOtherUnit(file, used))
    source = EventSource(files, max_events=max_events, chunk_size=chunk_size)
    if not len(source):
        rest = f" and {len(given) - 1} more files" if len(given) > 1 else ""
        raise NoEventsError(f"{given[0]}{rest}: no events in it")
    return source


ADVICE = "save this as columns.toml, correct it, and name it (--columns columns.toml):"


@contextmanager
def _columns_file_noted(
    text_of: Callable[[FileContent], str], content: FileContent
) -> Iterator[None]:
    """Add a columns file to start from to an error about columns, as a note."""
    try:
        yield
    except SchemaError as error:
        text = text_of(content)
        if text:
            error.add_note(f"{ADVICE}\n\n{text}")
        raise


def _require_same(
    first: EventFormat, chosen: EventFormat, first_path: Location, path: Location
) -> None:
    # A list of mixed formats is more often a mistake than intended: its events would
    # rarely be of one detector.
    if chosen.name != first.name:
        raise SchemaError(
            path,
            f"its format is {chosen.name}, that of {first_path} is {first.name}; "
            "give files of one format",
        )


def _require_unit(
    chosen: EventFormat | TruthFormat, unit: LengthUnit, path: Location
) -> None:
    if chosen.unit not in (None, unit):
        raise ConfigError(
            f"{path}: lengths of the format {chosen.name} are in {chosen.unit} by "
            f"definition, got unit {unit!r}; leave the unit out"
        )


@dataclass(frozen=True, slots=True)
class _InOtherUnit:
    """A file whose positions are not in mm, read in mm; see `EventFile`."""

    file: EventFile
    unit: LengthUnit

    @property
    def path(self) -> Location:
        return self.file.path

    @property
    def n_events(self) -> int:
        return self.file.n_events

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        with iterating(self.file.chunks(start, stop, chunk_size)) as chunks:
            for chunk in chunks:
                yield replace(chunk, xyz=in_mm(chunk.xyz, self.unit))


class EventSource:
    """Iterable over the chunks of all files, in order; can be iterated again.

    The next chunk is read in a background thread while one is in use. A file is
    open only while its chunks are read.

    Parameters
    ----------
    files : sequence of EventFile
    max_events : int, optional
        Stop after this number of events.
    chunk_size : int, optional
        Events per chunk.

    Notes
    -----
    Iterating raises `InvalidEventError` if a file has two events of the same number,
    because their results could not be told apart. Different files may use the same
    numbers.
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
        """Return the source of the events from `start` to before `stop`.

        Raises
        ------
        ConfigError
            If there are fewer events.
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
    """Yield the chunks of one file, as long as every event has its own number."""
    seen: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    with iterating(chunks) as of_one_file:
        for chunk in of_one_file:
            _require_new(chunk, seen)
            seen = np.concatenate((seen, chunk.event_ids))
            yield chunk


def _require_new(chunk: EventChunk, seen: NDArray[np.int64]) -> None:
    ids = chunk.event_ids
    # Usually the numbers rise, and this is all that has to be checked.
    if (np.diff(ids) > 0).all() and (not seen.size or ids[0] > seen.max()):
        return
    is_first = np.zeros(len(ids), dtype=np.bool_)
    is_first[np.unique(ids, return_index=True)[1]] = True
    again = np.flatnonzero(~is_first | np.isin(ids, seen))
    if again.size:
        index = int(again[0])
        raise InvalidEventError.repeated(
            chunk.source, event_id=int(ids[index]), entry=chunk.first_entry + index
        )


class TruthEvents:
    """Iterable over the events of truth files, in order; can be iterated again.

    Parameters
    ----------
    paths : path, or sequence of path
        Files of truth; or files of events whose truth is in the same file (GNN4ITk,
        EDM4hep, ColliderML) or in files beside it (TrackML, ACTS).
    format : str, optional
        The format, instead of recognising it by content; a name in
        `producers.formats.registry.TRUTH_FORMATS`.
    columns : TruthMapping, optional
        The columns of the truth in ROOT files of any layout, instead of a format.
    unit : {"mm", "cm", "m", "um"}, optional
        Unit of the vertices in the files; by default that of `columns`, or else mm. The
        events have them in mm.

    Attributes
    ----------
    paths : tuple of Path or str
    remarks : tuple of str
        What the files lack, such as vertices, and what follows from it.

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If a file does not exist, or has no truth.
    ConfigError
        If the unit is unknown, or not that of the format; or if both a format and
        columns are given.
    UnequalEventsError
        If the parts of a file are of different events.
    """

    def __init__(
        self,
        paths: PathLike | Sequence[PathLike],
        *,
        format: str | None = None,
        columns: TruthMapping | None = None,
        unit: str | None = None,
    ) -> None:
        # Imported here for a fast start: it loads the modules of all formats.
        from producers.formats.registry import choose_truth_format  # noqa: PLC0415

        self.paths = locations(paths)
        if format is not None and columns is not None:
            raise ConfigError("the truth needs a format or columns, not both")
        used = checked_unit(unit or ("mm" if columns is None else columns.unit))
        self._unit = used
        self._files: list[TruthFile] = []
        for path in self.paths:
            content = FileContent(path)
            with _columns_file_noted(truth_file, content):
                if columns is not None:
                    self._files.append(open_truth(content, columns))
                    continue
                chosen = choose_truth_format(content, format)
                _require_unit(chosen, used, path)
                self._files.append(chosen.open(content))
        remarks = [remark for file in self._files for remark in file.remarks]
        self.remarks = tuple(dict.fromkeys(remarks))

    def __len__(self) -> int:
        return sum(file.n_events for file in self._files)

    def __iter__(self) -> Iterator[TruthEvent]:
        with iterating(prefetched(self._blocks())) as blocks:
            for block in blocks:
                yield from map(self._in_mm, block)

    def _in_mm(self, event: TruthEvent) -> TruthEvent:
        if self._unit == "mm":
            return event
        vertex_mm = in_mm(event.particles.vertex_mm, self._unit)
        return replace(event, particles=replace(event.particles, vertex_mm=vertex_mm))

    def _blocks(self) -> Iterator[list[TruthEvent]]:
        for file in self._files:
            yield from file.blocks()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrackEvent:
    """The candidates of one event.

    Attributes
    ----------
    event_id : int
    candidates : TrackCandidates
        Without any label if the event failed and was skipped.
    is_failed : bool
        Whether the event got no answer.
    """

    event_id: int
    candidates: TrackCandidates
    is_failed: bool = False


class TrackEvents:
    """Iterable over the events of a file that `TrackWriter` wrote.

    Reads TTrees, RNTuples and parquet, and the folder ``<output>.partial`` that an
    interrupted job left.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    provenance : dict
        Where the tracks come from; empty for an interrupted job.

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If the file does not exist, or is not a file of tracks.
    UnequalEventsError
        If its two trees have different numbers of entries.
    """

    def __init__(self, path: PathLike) -> None:
        self.path: Location = Path(path) if is_partial(path) else locations(path)[0]
        self._file = _open(self.path)
        self.provenance = self._file.provenance

    def __len__(self) -> int:
        return len(self._file)

    def __iter__(self) -> Iterator[TrackEvent]:
        with iterating(prefetched(self._file.blocks())) as blocks:
            for block in blocks:
                events = zip(
                    block.event_ids, block.candidates, block.is_failed, strict=True
                )
                for event_id, candidates, is_failed in events:
                    yield TrackEvent(
                        event_id=int(event_id),
                        candidates=candidates,
                        is_failed=bool(is_failed),
                    )

    def array(self) -> Untyped:
        """Return the tracks of all events as one awkward array, in memory.

        Returns
        -------
        ak.Array, one record per event
            As `TracksInMemory.array`; None for an event that failed.
        """
        blocks = list(self._file.blocks())
        if not blocks:
            return ak.Array([])
        block = TrackBlock.joined(blocks)
        return tracks_array(block, block.is_failed)


def _open(path: Location) -> ReadableTracks:
    if is_partial(path):
        return PartialTracks(Path(path))
    if FileContent(path).container == "parquet":
        return ReadableParquetTracks(path)
    return ReadableRootTracks(path)
