"""The folder beside the output that an interrupted training leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exatrkx_pipeline.training.checkpoint import CheckpointFolder
from producers.model.errors import OutputError, UnreadableFileError
from producers.readers.partial import partial_folder
from sonic_client import ConfigError, SonicError
from sonic_tracking.tables import print_warning

__all__ = ["training_folder"]

JOB = "job.json"
THREADS = "n_threads"


@contextmanager
def training_folder(
    output: Path, job: Mapping[str, Any], *, resume: bool, every_n_steps: int
) -> Iterator[CheckpointFolder]:
    """The folder while the training runs; taken away when the block has succeeded.

    An interruption leaves it, if there is something in it to go on from.

    Parameters
    ----------
    output : Path
    job : mapping
        What the result depends on, as plain values for JSON: a training that goes on
        must have the same, but for the number of threads, which changes last bits.
    resume : bool
        Whether to go on from what is there; else it is thrown away.
    every_n_steps : int

    Raises
    ------
    ConfigError
        If what is there is of another training; names what differs.
    UnreadableFileError
        If what is there is damaged.
    OutputError
        If it cannot be written.
    """
    folder = partial_folder(output)
    if folder.is_dir() and resume:
        _require_same_job(folder, job)
    else:
        _make(folder, job, output)
    try:
        yield CheckpointFolder(folder, every_n_steps)
    except BaseException as error:
        if not any(folder.glob("*.safetensors")):
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, SonicError):
            reason = f"cannot write: {error.strerror or error}"
            raise OutputError(folder, reason) from error
        raise
    shutil.rmtree(folder, ignore_errors=True)


# Any: JSON values of several kinds.
def _make(folder: Path, job: Mapping[str, Any], output: Path) -> None:
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir()
        (folder / JOB).write_text(json.dumps(job, indent=1), encoding="utf-8")
    except OSError as error:
        raise OutputError(output, f"cannot write: {error.strerror}") from error


def _require_same_job(folder: Path, job: Mapping[str, Any]) -> None:
    path = folder / JOB
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise UnreadableFileError(path, f"damaged: {error}") from error
    now = _flat(json.loads(json.dumps(job)))
    for name in sorted({*before, *now}):
        was, is_now = before.get(name), now.get(name)
        if was == is_now:
            continue
        if name == THREADS:
            print_warning(
                f"the training began with {was} threads and goes on with {is_now}: the "
                "weights' last bits will be others"
            )
            continue
        raise ConfigError(
            f"{folder}: left by another training: {name} was {was!r}, is {is_now!r}; "
            "--force begins anew"
        )


def _flat(table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested tables as one, with names like ``recipe.gnn.n_steps``."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        path = f"{where}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat
