"""The finished events of an output that is not complete yet.

An output file appears when it is complete, and not before. Until then, the folder
``<output>.partial`` holds the finished events in blocks. Each block is written under
another name and renamed, so after a kill at any moment every block that is there is
complete. A job with the same inputs and settings can resume from them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from producers.io.json_text import json_object
from producers.io.location import open_binary
from producers.io.npz import read_npz
from producers.io.output import beside, output_errors
from producers.model.errors import OutputExistsError, UnreadableFileError
from producers.model.track_block import TrackBlock
from producers.model.types import JsonObject
from sonic_base import ConfigError, whole_file

SUFFIX = ".partial"
JOB = "job.json"


def partial_folder(output: Path | str) -> Path:
    """Return the folder beside an output that holds its finished events."""
    return beside(Path(output), SUFFIX)


def new_partial_folder(output: Path, job: Mapping[str, Any]) -> Path:
    """Make the folder beside an output, without what an earlier job left in it.

    Parameters
    ----------
    output : Path
    job : mapping
        What the result depends on, as plain values: written into the folder as JSON.

    Raises
    ------
    OutputError
        If it cannot be written. No folder is left then.
    """
    folder = partial_folder(output)
    with output_errors(output):
        if folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir()
        try:
            (folder / JOB).write_text(json.dumps(job, indent=1), encoding="utf-8")
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def job_of(folder: Path) -> JsonObject:
    """Return what `new_partial_folder` wrote about a job.

    Raises
    ------
    UnreadableFileError
        If it cannot be read, or is not a JSON object.
    """
    path = folder / JOB
    with open_binary(path) as file:
        return json_object(path, file.read())


def is_partial(path: Path | str) -> bool:
    """Whether a path is such a folder."""
    return Path(path).suffix == SUFFIX and Path(path).is_dir()


def _block_name(number: int) -> str:
    return f"block-{number:06d}.npz"


class PartialTracks:
    """The tracks that an interrupted job had finished.

    Parameters
    ----------
    folder : Path
        As `partial_folder` gives it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.provenance: Mapping[str, Any] = {}

    def __len__(self) -> int:
        return sum(map(len, self.blocks()))

    def blocks(self) -> Iterator[TrackBlock]:
        """Read the events, block by block.

        Raises
        ------
        UnreadableFileError
            If a block is damaged, or an earlier block is missing.
        """
        for number, path in enumerate(sorted(self._folder.glob("block-*.npz"))):
            if path.name != _block_name(number):
                raise UnreadableFileError(
                    self._folder, f"{_block_name(number)} is not there"
                )
            arrays = read_npz(path)
            try:
                block = TrackBlock.from_arrays(arrays)
            except (KeyError, ValueError, TypeError) as error:
                raise UnreadableFileError(path, f"damaged block: {error}") from error
            yield block


class Journal:
    """The folder of finished events of a running job.

    Parameters
    ----------
    output : Path
    job : mapping
        What the result depends on, as plain values for JSON. A job that resumes must
        have the same.

    Attributes
    ----------
    folder : Path
    """

    def __init__(self, output: Path, job: Mapping[str, Any]) -> None:
        self.output, self.folder = output, partial_folder(output)
        self._job = json.loads(json.dumps(job))  # as it is read back
        self._n_blocks = self._n_events = 0

    def open(self, *, resume: bool, force: bool) -> None:
        """Start anew, or resume from the events that are there.

        Raises
        ------
        OutputExistsError
            If an interrupted job left events, and neither `resume` nor `force` is
            set.
        ConfigError
            If they are of another job, which names the difference; or of another user.
        UnreadableFileError
            If the description of that job is damaged.
        OutputError
            If the folder cannot be written.
        """
        if self.folder.is_dir() and not (resume or force):
            raise OutputExistsError(
                self.folder,
                "events of a job that was interrupted; resume it, or ask to overwrite",
            )
        if self.folder.is_dir() and resume:
            self._require_own_folder()
            self._require_same_job()
        else:
            new_partial_folder(self.output, self._job)

    def _require_own_folder(self) -> None:
        """In a folder of many users, another one may have put it there beforehand."""
        with output_errors(self.output):
            is_own = self.folder.lstat().st_uid == os.geteuid()
        if not is_own or self.folder.is_symlink():
            raise ConfigError(
                f"{self.folder}: a link, or of another user: its events are not "
                "trusted; remove it, or write to another folder"
            )

    def _require_same_job(self) -> None:
        before = job_of(self.folder)
        for name in sorted({*before, *self._job}):
            was, is_now = before.get(name), self._job.get(name)
            if was != is_now:
                raise ConfigError(
                    f"{self.folder}: left by another job: {name} was {was!r}, "
                    f"is {is_now!r}"
                )

    def blocks_before(self) -> Iterator[TrackBlock]:
        """Read the blocks that were finished before, once, and count them.

        Raises
        ------
        UnreadableFileError
            If a block is damaged.
        """
        for block in PartialTracks(self.folder).blocks():
            self._n_blocks += 1
            self._n_events += len(block)
            yield block

    @property
    def n_events(self) -> int:
        """Number of events that are kept in the folder."""
        return self._n_events

    @property
    def parts(self) -> Path:
        """Folder for parts that workers finish out of order, each in its own file."""
        return self.folder / "parts"

    def leave(self) -> None:
        """Remove what a later job cannot resume from; the folder if nothing is left.

        It is done as well as possible, because an error has ended the job.
        """
        with suppress(OSError):
            for unfinished in (
                *self.folder.glob("unfinished*"),
                *self.folder.glob(".*"),
            ):
                unfinished.unlink(missing_ok=True)
            has_parts = self.parts.is_dir() and any(self.parts.iterdir())
            if not has_parts and not any(self.folder.glob("block-*.npz")):
                shutil.rmtree(self.folder, ignore_errors=True)

    def append(self, block: TrackBlock) -> None:
        """Keep a block: completely, or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = self.folder / _block_name(self._n_blocks)
        with (
            output_errors(self.output),
            whole_file(path) as unfinished,
            unfinished.open("wb") as file,
        ):
            # numpy's stubs take the arrays for the option `allow_pickle`.
            np.savez(file, **block.to_arrays())  # type: ignore[arg-type]
        self._n_blocks += 1
        self._n_events += len(block)

    def remove(self) -> None:
        """Remove the folder: the output is complete, or nothing was finished.

        Raises
        ------
        OutputError
            If it cannot be removed.
        """
        with output_errors(self.output):
            shutil.rmtree(self.folder)
