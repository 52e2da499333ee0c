"""The parts of a format: reading events, reading truth, writing tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple, Protocol

from producers.io.content import FileContent
from producers.io.location import Location
from producers.model.event import EventChunk
from producers.model.features import FeatureScale
from producers.model.schema import ColumnMapping
from producers.model.track_block import FailureRow, TrackBlock
from producers.model.truth import TruthEvent
from producers.model.units import LengthUnit


class ReadOptions(NamedTuple):
    """The options of a caller for one file; see `open_events`.

    Attributes
    ----------
    columns : ColumnMapping, optional
    csv_scale : FeatureScale, optional
    position : int
        Position of the file among the others, from zero: the number of its event, if
        nothing else numbers it.
    """

    columns: ColumnMapping | None = None
    csv_scale: FeatureScale | None = None
    position: int = 0


class EventFile(Protocol):
    """A file whose format, columns and number of events are known."""

    @property
    def path(self) -> Location:
        """Path or URL of the file."""

    @property
    def n_events(self) -> int:
        """Number of events in the file."""

    def chunks(
        self, start: int, stop: int, chunk_size: int | None
    ) -> Iterator[EventChunk]:
        """Read the events from `start` to before `stop`, `chunk_size` at a time.

        Without a chunk size, the reader chooses one that bounds the memory.

        Raises
        ------
        InvalidEventError
            If the columns of an event have unequal lengths, or a position is not
            finite.
        UnreadableFileError
            If the file is damaged.
        """


class TruthFile(NamedTuple):
    """A file of truth whose columns and number of events are known.

    Attributes
    ----------
    n_events : int
    blocks : callable
        Reads the events in order, as many at a time as take some MB. Raises
        UnequalEventsError, SchemaError or InvalidEventError if parts of the truth do
        not fit each other, UnreadableFileError if a file is damaged.
    remarks : tuple of str
        What the file lacks, and what follows from it.
    """

    n_events: int
    blocks: Callable[[], Iterator[list[TruthEvent]]]
    remarks: tuple[str, ...] = ()

    @classmethod
    def of_one_event(cls, read: Callable[[], TruthEvent]) -> TruthFile:
        """Return the file of a single event, which `read` returns."""

        def blocks() -> Iterator[list[TruthEvent]]:
            yield [read()]

        return cls(1, blocks)


class TrackFile(Protocol):
    """A file of tracks that is being written."""

    def append(self, block: TrackBlock) -> None:
        """Add events."""

    def finish(
        self, failures: Sequence[FailureRow], provenance: Mapping[str, Any]
    ) -> None:
        """Add the failures and the provenance, which are known at the end only."""

    def close(self) -> None:
        """Close the file, finished or not."""


class ReadableTracks(Protocol):
    """A file of tracks that is read back."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The provenance that was written with the tracks."""

    def __len__(self) -> int:
        """Return the number of events."""

    def blocks(self) -> Iterator[TrackBlock]:
        """Read the events in order, some MB at a time."""


class EventFormat(NamedTuple):
    """How the events of a format are recognised and read.

    Attributes
    ----------
    name : str
        The name that users give.
    recognises : callable
        Whether a file is in this format. No two formats recognise the same file.
    open : callable
        Returns the file, after checking its columns, without reading an event. Its
        positions are as they are in the file: `open_events` converts them to mm.
    unit : {"mm", "cm", "m", "um"}, optional
        The unit of positions, if the definition of the format leaves no other.
    """

    name: str
    recognises: Callable[[FileContent, ReadOptions], bool]
    open: Callable[[FileContent, ReadOptions], EventFile]
    unit: LengthUnit | None = None


class TruthFormat(NamedTuple):
    """How the truth of a format is recognised and read.

    Attributes
    ----------
    name : str
        The name that users give; that of the format of the events, if there is one.
    recognises, open, unit
        As in `EventFormat`; the unit is that of vertices.
    """

    name: str
    recognises: Callable[[FileContent], bool]
    open: Callable[[FileContent], TruthFile]
    unit: LengthUnit | None = None


class TrackFormat(NamedTuple):
    """How tracks are written in a format.

    Attributes
    ----------
    name : str
        The name that users give.
    suffixes : tuple of str
        The ends of file names that select this format; empty if it must be named.
    create : callable
        Returns the tracks of a new file, which is open for writing and reading. Raises
        OSError if it cannot be written, ConfigError if a package is not installed.
    holds_failures : bool
        Whether the file has a place for failed events and their causes.
    """

    name: str
    suffixes: tuple[str, ...]
    create: Callable[[IO[bytes]], TrackFile]
    holds_failures: bool = True


class Format(NamedTuple):
    """A file format: the readers and writers of one folder.

    Attributes
    ----------
    name : str
        Name of the folder.
    events : EventFormat, optional
    truth : TruthFormat, optional
    tracks : tuple of TrackFormat
        Several, if the same columns can be written in several containers.
    """

    name: str
    events: EventFormat | None = None
    truth: TruthFormat | None = None
    tracks: tuple[TrackFormat, ...] = ()
