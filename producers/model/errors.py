"""What can be wrong with the files of a job, each with the facts it was found by.

::

    SonicError
    └── DataError
        ├── InputNotFoundError (FileNotFoundError)   the path is wrong
        ├── UnreadableFileError                      not ROOT, truncated, damaged
        ├── SchemaError (LookupError)                tree or branch is not there
        ├── InvalidEventError (ValueError)           the event cannot be right
        ├── NoEventsError                            nothing to do
        ├── UnequalEventsError (ValueError)          files of different events
        ├── DuplicateEventError (ValueError)         the output could not tell them
        ├── OutputExistsError (FileExistsError)      say so to overwrite it
        ├── OutputError (OSError)                    folder missing, disk full, ...
        ├── EventFailedError                         no answer for one event
        └── ArrayFailedError                         no answer for a part of an array

Each message is one line that starts with the file where a file is to blame.
"""

from __future__ import annotations

from pathlib import Path

from sonic_base.errors import SonicError

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


class UnreadableFileError(DataError):
    """The file is of another kind than its reader needs, truncated or damaged.

    Attributes
    ----------
    path : Path or str
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class SchemaError(DataError, LookupError):
    """A tree or a branch is not there, or does not hold what is needed.

    Attributes
    ----------
    path : Path or str
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class InvalidEventError(DataError, ValueError):
    """The columns of one event contradict each other, or hold no numbers.

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


class NoEventsError(DataError):
    """The inputs hold not a single event; one that is empty would count."""


class UnequalEventsError(DataError, ValueError):
    """Two inputs that must describe the same events, in the same order, do not."""


class DuplicateEventError(DataError, ValueError):
    """Two events of one number, for a file that knows events by their numbers.

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


class OutputExistsError(DataError, FileExistsError):
    """The output is there already, and replacing it was not asked for.

    Attributes
    ----------
    path : Path or str
    """

    def __init__(
        self,
        path: Path | str,
        reason: str = "exists already; remove it, or ask to overwrite it",
    ) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class OutputError(DataError, OSError):
    """The output cannot be written.

    Attributes
    ----------
    path : Path or str
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path}: {reason}")


class EventFailedError(DataError):
    """One event got no answer, or none of use; the client's error is the cause.

    Attributes
    ----------
    event_id, entry : int
    source : str
        File of the event.
    reason : str
        What the cause says.
    producer : str
        Name of the step that failed.
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
    """Some events or rows of an array got no answer; the client's error is the cause.

    Attributes
    ----------
    model : str
    part : str
        Of the array, counted from zero: ``event 3 of 100``, ``rows 8 to 15 of 47``.
    reason : str
        What the cause says.
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
