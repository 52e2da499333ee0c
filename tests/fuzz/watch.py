"""What must not happen while a program is fuzzed, and what it costs."""

from __future__ import annotations

import gc
import logging
import os
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Findings:
    """Failures, each with the input that caused it, and counts of what was seen."""

    most: int = 20
    failures: list[str] = field(default_factory=list)
    n_failures: int = 0
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    growth_bytes: int = 0

    def fail(self, what: str, request: object) -> None:
        """Keep a failure; only the first ones with their text."""
        self.n_failures += 1
        if len(self.failures) < self.most:
            self.failures.append(f"{what}\n    {str(request)[:1500]}")

    def note(self, kind: str, status: str, spent_s: float) -> None:
        self.seen[kind, status] += 1
        self.slowest_s[kind] = max(self.slowest_s.get(kind, 0.0), spent_s)


class Watch(logging.Handler):
    """Collects every traceback that was logged, in any thread, and every warning."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.levelno > logging.DEBUG:
            lines = traceback.format_exception(*record.exc_info)
            text = record.getMessage() + "\n" + "".join([*lines[-8:]])
            self._found.append(f"logged by {record.name}: {text}")
        elif "never retrieved" in record.getMessage():
            self._found.append(record.getMessage())

    def thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        text = "".join(traceback.format_exception(failure.exc_value)[-6:])
        self._found.append(f"a thread died: {text}")

    def take(self) -> list[str]:
        """Return what was found since the last call."""
        found, self._found = self._found, []
        return found


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch logs, threads and warnings; a warning is an error."""
    watch, root = Watch(), logging.getLogger()
    hook, threading.excepthook = threading.excepthook, watch.thread_failed
    root.addHandler(watch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield watch
    finally:
        root.removeHandler(watch)
        threading.excepthook = hook


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def n_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors, no files
