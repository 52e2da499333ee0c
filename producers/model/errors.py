"""The errors of the package: wrong files, wrong events, events without an answer.

::

    SonicError
    └── DataError
        ├── InputNotFoundError (FileNotFoundError)   the path is wrong
        ├── UnreadableFileError                      wrong kind, truncated, damaged
        ├── SchemaError (LookupError)                a tree or column is missing
        ├── InvalidEventError (ValueError)           an event contradicts itself
        ├── NoEventsError                            nothing to do
        ├── UnequalEventsError (ValueError)          files of different events
        ├── DuplicateEventError (ValueError)         two events of one number
        ├── OutputExistsError (FileExistsError)      overwriting was not asked for
        ├── OutputError (OSError)                    folder missing, disk full, ...
        ├── EventFailedError                         no answer for one event
        └── ArrayFailedError                         no answer for part of an array

Each message is one line. It starts with the file, if the error is about a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from sonic_base import SonicError

__all__ = [
    "ArrayFailedError",
    "DataError",
    "DuplicateEventError",
    "EventFailedError",
    "InputNotFoundError",
    "InvalidEventError",
    "NoEventsError",
    "OutputError",
    "OutputExistsError",
    "SchemaError",
    "UnequalEventsError",
    "UnreadableFileError",
]


class DataError(SonicError):
    """A file of the job, or an event in it, cannot be used."""


class InputNotFoundError(DataError, FileNotFoundError):
    """An input path leads to no file.

    Attributes
    ----------
    paths : tuple of Path or str
        All that are missing, not only the first.
    """

    def __init__(self, paths: tuple[Path | str, ...]) -> None:
        self.paths = paths
        rest = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        super().__init__(f"{paths[0]}: no such file{rest}")


class _PathError(DataError):
    """An error about one file.

    Attributes
    ----------
    path : Path or str
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class UnreadableFileError(_PathError):
    """The file is of the wrong kind, truncated or damaged."""


class SchemaError(_PathError, LookupError):
    """A tree or a column is missing, or holds something else than expected."""


class InvalidEventError(DataError, ValueError):
    """The columns of one event contradict each other, or hold wrong values.

    Attributes
    ----------
    path : Path or str
    event_id : int
        The event's own number.
    entry : int
        Its position in the file, from zero.
    """

    def __init__(
        self, path: Path | str, *, event_id: int, entry: int, reason: str
    ) -> None:
        self.path, self.event_id, self.entry = path, event_id, entry
        super().__init__(f"{path}: event {event_id} (entry {entry}): {reason}")

    @classmethod
    def repeated(cls, path: Path | str, *, event_id: int, entry: int) -> Self:
        """Return the error of an event whose number an event before it has."""
        return cls(
            path,
            event_id=event_id,
            entry=entry,
            reason="there is another event of this number before it; if files were "
            "merged, give them one by one, or number events by their entry: a columns "
            "file without event (--columns)",
        )


class NoEventsError(DataError):
    """The inputs have no event at all; an empty event would count."""


class UnequalEventsError(DataError, ValueError):
    """Two inputs that must describe the same events, in the same order, do not."""


class DuplicateEventError(DataError, ValueError):
    """Two events have one number, and the output identifies events by their numbers.

    Attributes
    ----------
    event_id : int
    """

    def __init__(self, event_id: int) -> None:
        self.event_id = event_id
        super().__init__(
            f"event {event_id} is there twice, in several inputs; this output format "
            "could not tell them apart"
        )


class OutputExistsError(_PathError, FileExistsError):
    """The output exists already, and overwriting it was not asked for."""

    def __init__(
        self,
        path: Path | str,
        reason: str = "exists already; remove it, or ask to overwrite it",
    ) -> None:
        super().__init__(path, reason)


class OutputError(_PathError, OSError):
    """The output cannot be written."""


class EventFailedError(DataError):
    """One event got no usable answer; the client's error is the ``__cause__``.

    Attributes
    ----------
    event_id, entry : int
    source : str
        File of the event.
    reason : str
        The message of the cause.
    producer : str
        Name of the producer that failed.
    servers : tuple of str
        Addresses that were tried.
    """

    def __init__(
        self,
        *,
        event_id: int,
        entry: int,
        source: str,
        reason: str,
        producer: str = "",
        servers: tuple[str, ...] = (),
    ) -> None:
        self.event_id, self.entry, self.source = event_id, entry, source
        self.reason, self.producer, self.servers = reason, producer, servers
        super().__init__(f"{source}: event {event_id} (entry {entry}): {reason}")


class ArrayFailedError(DataError):
    """Part of an array got no answer; the client's error is the ``__cause__``.

    Attributes
    ----------
    model : str
    part : str
        The part, counted from zero: ``event 3 of 100``, ``rows 8 to 15 of 47``.
    reason : str
        The message of the cause.
    servers : tuple of str
        Addresses that were tried.
    """

    def __init__(
        self, *, model: str, part: str, reason: str, servers: tuple[str, ...] = ()
    ) -> None:
        self.model, self.part = model, part
        self.reason, self.servers = reason, servers
        others = [server for server in servers if server not in reason]
        tried = f" (also tried {', '.join(others)})" if others else ""
        super().__init__(f"model {model!r}: {part}: {reason}{tried}")
