"""What a job has finished, kept beside its output until that is complete.

An output file is there once it is complete, and not before. Until then, the folder
``<output>.partial`` holds the events that are finished, in blocks of their own: each is
written under another name and renamed, so that after a kill at any moment every block
that is there is whole. A job of the same inputs and settings goes on from them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from producers.model.errors import OutputExistsError, UnreadableFileError
from producers.model.track_block import TrackBlock
from producers.readers.partial import block_name, partial_folder, read_blocks
from producers.writers.whole_file import output_errors
from sonic_base.errors import ConfigError

__all__ = ["Journal"]

JOB = "job.json"


class Journal:
    """The folder of a job that is running.

    Parameters
    ----------
    output : Path
    job : mapping
        What the result depends on, as plain values for JSON: a job that goes on must
        have the same.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self, output: Path, job: Mapping[str, Any]) -> None:
        self.output, self.folder = output, partial_folder(output)
        # As it will come back.
        self._job = json.loads(json.dumps(job))
        self._n_blocks = self._n_events = 0

    def open(self, *, resume: bool, force: bool) -> None:
        """Begin, or go on from what is there.

        Raises
        ------
        OutputExistsError
            If an interrupted job left events, and neither going on nor beginning
            anew was asked for.
        ConfigError
            If that was another job; names what differs.
        UnreadableFileError
            If what it left is damaged.
        OutputError
            If the folder cannot be written.
        """
        if self.folder.is_dir() and not (resume or force):
            raise OutputExistsError(
                self.folder,
                "events of a job that was interrupted; resume it, or ask to overwrite",
            )
        with output_errors(self.output):
            if self.folder.is_dir() and not resume:
                shutil.rmtree(self.folder)
            if self.folder.is_dir():
                self._require_same_job()
                return
            self.folder.mkdir()
            (self.folder / JOB).write_text(json.dumps(self._job, indent=1))

    def _require_same_job(self) -> None:
        path = self.folder / JOB
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            names = sorted({*before, *self._job})
        except (OSError, ValueError, TypeError) as error:
            raise UnreadableFileError(path, f"damaged: {error}") from error
        for name in names:
            was, is_now = before.get(name), self._job.get(name)
            if was != is_now:
                raise ConfigError(
                    f"{self.folder}: left by another job: {name} was {was!r}, "
                    f"is {is_now!r}"
                )

    def blocks_before(self) -> Iterator[TrackBlock]:
        """Read what was finished before, once, and count it.

        Raises
        ------
        UnreadableFileError
            If a block is damaged.
        """
        for block in read_blocks(self.folder):
            self._n_blocks += 1
            self._n_events += len(block)
            yield block

    @property
    def n_events(self) -> int:
        """Number of events that are safe."""
        return self._n_events

    @property
    def parts(self) -> Path:
        """Folder for what workers finished out of order, in files of their own."""
        return self.folder / "parts"

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that another job could go on from."""
        return not self._n_events and not (
            self.parts.is_dir() and any(self.parts.iterdir())
        )

    def append(self, block: TrackBlock) -> None:
        """Keep a block; it is there as a whole, or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = self.folder / block_name(self._n_blocks)
        unfinished = path.with_suffix(".part")
        with output_errors(self.output):
            with unfinished.open("wb") as file:
                # Any: numpy's stubs take keyword arguments for options.
                np.savez(file, **block.to_arrays())  # type: ignore[arg-type]
            unfinished.replace(path)
        self._n_blocks += 1
        self._n_events += len(block)

    def remove(self) -> None:
        """Remove the folder; the output is complete, or nothing was finished.

        Raises
        ------
        OutputError
            If it cannot be removed.
        """
        with output_errors(self.output):
            shutil.rmtree(self.folder)
