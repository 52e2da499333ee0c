"""Outputs: checked before the work, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from producers.io import check_output, partial_folder
from producers.model.errors import OutputError, OutputExistsError
from sonic_base.errors import ConfigError, SonicError

__all__ = [
    "RefusedOutputError",
    "check_interrupted",
    "check_outputs",
    "whole_path",
    "write_json",
]


class RefusedOutputError(SonicError, FileExistsError):
    """An output is there already, and ``--force`` was not given."""


def check_outputs(
    outputs: Mapping[str, Path | None], *, inputs: tuple[Path, ...] = (), force: bool
) -> None:
    """Refuse output paths now, rather than when hours of work are to be written.

    Parameters
    ----------
    outputs : mapping of str to path or None
        By the name of their option; those that are not asked for are None.
    inputs : tuple of path
        Files that no output may replace, whatever `force` says.
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
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise ConfigError(f"{option} {path}: is {other} already")
        try:
            check_output(path, force=force)
        except OutputExistsError as error:
            raise RefusedOutputError(
                f"{path}: exists already; --force replaces it"
            ) from error


def check_interrupted(output: Path, *, resume: bool, force: bool) -> None:
    """Refuse to begin anew over what an interrupted job left, unless it is said.

    Raises
    ------
    RefusedOutputError
        If it left something, and neither `resume` nor `force` is set.
    """
    left = partial_folder(output)
    if left.is_dir() and not (resume or force):
        raise RefusedOutputError(
            f"{left}: left by an interrupted job; --resume goes on from it, "
            "--force begins anew"
        )


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """A temporary name in the same folder, renamed when the block has succeeded.

    It keeps the suffix, by which plotting libraries choose the format.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        reason = f"cannot write: {error.strerror or error}"
        raise OutputError(path, reason) from error
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file that is whole or not there.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(document, indent=2, allow_nan=False)
    with whole_path(path) as partial:
        partial.write_text(f"{text}\n", encoding="utf-8")
