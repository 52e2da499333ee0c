"""The progress of a job: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["Report", "activity", "progress_bar"]

SECONDS_BETWEEN_LINES = 5.0


class Report(Protocol):
    """Shows how much is done so far, with a note."""

    def __call__(self, done: int, note: str = "") -> None:
        """Update the display; cheap enough to be called for every event."""


@contextmanager
def progress_bar(
    what: str,
    total: int,
    *,
    unit: str,
    is_shown: bool = True,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Report]:
    """Show progress with rate and time left while the block runs.

    Parameters
    ----------
    what : str
        Name of the work.
    total : int
        Amount of work, in `unit`.
    unit : str
        Plural, such as ``events``.
    is_shown : bool
        False shows nothing.
    stream : text file, optional
        By default stderr, so that stdout holds results alone. A terminal gets a bar,
        anything else a line every few seconds.
    clock : callable
        Seconds, for the rate of plain lines.
    """
    stream = sys.stderr if stream is None else stream
    if not is_shown:
        yield lambda done, note="": None
    elif stream.isatty():
        with _bar(what, total, unit, Console(file=stream)) as report:
            yield report
    else:
        lines = _PlainLines(what, total, unit, stream, clock)
        yield lines
        lines.finish()


@contextmanager
def activity(
    what: str, *, is_shown: bool = True, stream: TextIO | None = None
) -> Iterator[None]:
    """Show on a terminal that some work is being done while the block runs.

    Parameters
    ----------
    what : str
        Name of the work.
    is_shown : bool
        False shows nothing.
    stream : text file, optional
        By default stderr. Nothing is shown if it is not a terminal.
    """
    stream = sys.stderr if stream is None else stream
    if not (is_shown and stream.isatty()):
        yield
        return
    with Console(file=stream).status(what):
        yield


@contextmanager
def _bar(what: str, total: int, unit: str, console: Console) -> Iterator[Report]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total, note="")

        def report(done: int, note: str = "") -> None:
            bar.update(task, completed=done, note=note)

        yield report


class _RateColumn(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Amount per second, over the last half minute."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g} {self._unit}/s")


class _PlainLines:
    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        stream: TextIO,
        clock: Callable[[], float],
    ) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._stream, self._clock = stream, clock
        self._start = self._last = clock()
        self._done, self._note = 0, ""

    def __call__(self, done: int, note: str = "") -> None:
        self._done, self._note = done, note
        now = self._clock()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._print(now - self._start, left=True)

    def finish(self) -> None:
        """Print the last line, regardless of when the previous one was printed."""
        self._print(self._clock() - self._start, left=False)

    def _print(self, elapsed_s: float, *, left: bool) -> None:
        rate = self._done / elapsed_s if elapsed_s > 0.0 else 0.0
        parts = [
            f"{self._what}: {self._done} of {self._total} {self._unit}",
            f"{elapsed_s:.1f} s",
        ]
        if rate > 0.0:
            parts.append(f"{rate:.3g} {self._unit}/s")
        if left and rate > 0.0:
            parts.append(f"{(self._total - self._done) / rate:.0f} s left")
        if self._note:
            parts.append(self._note)
        print(", ".join(parts), file=self._stream, flush=True)
