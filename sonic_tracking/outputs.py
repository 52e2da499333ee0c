"""Outputs: checked before the work, written completely or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from producers import OutputExistsError
from producers.io import (
    check_output,
    partial_folder,
    picture_format,
    write_whole,
)
from sonic_base import ConfigError, SonicError

__all__ = [
    "Json",
    "RefusedOutputError",
    "check_interrupted",
    "check_outputs",
    "counted",
    "write_json",
]

Json: TypeAlias = dict[str, Any]
"""A document of plain values for JSON or TOML."""


class RefusedOutputError(SonicError, FileExistsError):
    """An output exists already, and may not be replaced without ``--force``."""


def check_outputs(
    outputs: Mapping[str, Path | None], *, inputs: tuple[Path, ...] = (), force: bool
) -> None:
    """Refuse wrong output paths before the work starts.

    Parameters
    ----------
    outputs : mapping of str to path or None
        By the name of their argument; None if the output is not wanted. The one of
        the name ``plot`` must have the suffix of a picture.
    inputs : tuple of path
        Files that no output may replace, even with `force`.
    force : bool
        Whether existing files may be replaced.

    Raises
    ------
    ConfigError
        If an output is named twice, or is an input.
    RefusedOutputError
        If one exists and `force` is not set.
    OutputError
        As `producers.io.check_output`.
    """
    taken = {path.resolve(): "an input" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        if option == "plot":
            picture_format(path)
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise ConfigError(f"{option} {path}: is {other} already")
        try:
            check_output(path, force=force)
        except OutputExistsError as error:
            raise RefusedOutputError(
                f"{path}: exists already; --force (force=True) replaces it"
            ) from error


def check_interrupted(output: Path, *, resume: bool, force: bool) -> None:
    """Refuse to discard the results of an interrupted job unless told to.

    Raises
    ------
    RefusedOutputError
        If there are any, and neither `resume` nor `force` is set.
    """
    left = partial_folder(output)
    if left.is_dir() and not (resume or force):
        raise RefusedOutputError(
            f"{left}: left by an interrupted job; --resume (resume=True) goes on "
            "from it, --force (force=True) begins anew"
        )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file completely or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(document, indent=2, allow_nan=False)
    write_whole(path, f"{text}\n".encode())
