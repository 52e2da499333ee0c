"""What tritonserver's log says about a failure."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["log_tail", "telling_line"]

TAIL_BYTES = 64 << 10
HARMLESS = ("CudaDriverHelper has not been initialized.",)
"""Errors that every start without a GPU logs."""
_SEVERE = re.compile(r'^E\d{4} [\d:.]+ \d+ (?:\S+:\d+\] )?"?(?P<text>.*?)"?$')
"""``E1124 19:15:00.123456 4711 model_repository_manager.cc:1 "failed ..."``."""


def log_tail(log: Path, n_lines: int = 20) -> str:
    """The last lines of the log, its wide tables left out; empty if there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = [line for line in text.splitlines() if not line.startswith(("|", "+"))]
    return "\n".join(lines[-n_lines:])


def telling_line(log_text: str) -> str:
    """The line that says best what went wrong: the first error, or the last line."""
    lines = [line.strip() for line in log_text.splitlines() if line.strip()]
    for line in lines:
        severe = _SEVERE.match(line)
        if severe is not None and severe["text"] not in HARMLESS:
            return severe["text"]
    return lines[-1] if lines else "the log is empty"
