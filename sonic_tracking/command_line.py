"""The command as it was typed, for the provenance of its outputs."""

from __future__ import annotations

import shlex
import sys

__all__ = ["this_command"]


def this_command() -> str:
    """``sonic`` with its arguments, quoted so that a shell understands it."""
    return shlex.join(["sonic", *sys.argv[1:]])
