"""Tracks into a file, with a journal of what is finished."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from producers.io.journal import Journal
from producers.io.output import beside, check_output, close_quietly, output_errors
from producers.model.candidates import CandidateChunk, TrackCandidates
from producers.model.errors import OutputError
from producers.model.event import Event
from producers.model.results import ChunkResult
from producers.model.track_block import FailureRow, TrackBlock
from sonic_base import whole_file

VALUES_PER_BLOCK = 2**20  # 8 MB
EVENTS_PER_BLOCK = 1000
SECONDS_PER_BLOCK = 10.0
"""A kill can lose the events of at most this many seconds."""


def failures_beside(output: Path) -> Path:
    """Return the file of failures, for outputs that have no place for them."""
    return beside(output, ".failures.json")


class TrackWriter:
    """Writes the tracks of a job: the complete file, or what is finished beside it.

    The tables ``labels`` and ``candidates`` have one entry per event, in input order.
    ``labels``: ``event`` (int64), ``is_failed`` (bool) and ``sp_label`` (int32[]), one
    label per space point in the order of the input, -1 where it is on no candidate.
    ``candidates``: ``event``, ``n_space_points`` (int32[]) of each candidate, and
    ``sp_index`` (int32[]), the space points of all candidates one after another, each
    candidate's ordered outward. ``failures`` has a row for each failed event, with its
    cause. ``provenance`` is JSON as text. Formats other than TTree and RNTuple hold the
    same as far as they can; if they have no place for failures, these are in a file
    ``<output>.failures.json`` beside the output, if there are any.

    The output appears when it is complete. A job that ends earlier, for whatever
    reason, leaves a folder ``<output>.partial`` with its finished events, if any:
    `TrackEvents` reads it, and ``resume`` continues from it. The result equals that of
    a job that was not interrupted.

    Parameters
    ----------
    path : path
    provenance : mapping
        Where the tracks come from, as plain values for JSON: input files, model,
        version, server, weights, cuts, command, versions.
    format : str, optional
        A name in `producers.formats.registry.TRACK_FORMATS`; by default the format
        of the suffix.
    force : bool
        Whether an existing file, or what an interrupted job left, may be replaced.
    resume : bool
        Whether to continue from the events that an interrupted job left. `n_done`
        is then their number.
    job : mapping, optional
        What the result depends on; a job can only be resumed by an equal one.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    provenance : dict
        Written at the end, so a job may add to it until then.

    Raises
    ------
    ConfigError
        If there is no such format; on entering, if the events that were left are of
        another job.
    OutputExistsError, OutputError
        On entering, if the file must not or cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        provenance: Mapping[str, Any],
        *,
        format: str | None = None,
        force: bool = False,
        resume: bool = False,
        job: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self.provenance = Path(path), dict(provenance)
        # Imported here for a fast start: it loads the modules of all formats.
        from producers.formats.registry import choose_track_format  # noqa: PLC0415

        self._format = choose_track_format(self.path, format)
        self._force, self._resume, self._clock = force, resume, clock
        self._journal = Journal(self.path, job or {})
        self._pending: list[TrackBlock] = []
        self._n_values = self._n_events = 0
        self._n_candidates = self._n_points = self._n_points_on_candidates = 0
        self._failures: list[FailureRow] = []
        # Compressing a block takes as long as finding its tracks, so it is done in a
        # thread, one block at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="track-writer")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        for path in self._outputs():
            check_output(path, force=self._force)
        with ExitStack() as stack:
            self._journal.open(resume=self._resume, force=self._force)
            stack.callback(self._journal.leave)
            self._begin(stack)
            stack.callback(self._thread.shutdown)
            for block in self._journal.blocks_before():
                self._count(block)
                self._add(block)
            self._stack = stack.pop_all()
        self._last_s = self._clock()
        return self

    def _outputs(self) -> list[Path]:
        if self._format.holds_failures:
            return [self.path]
        return [self.path, failures_beside(self.path)]

    def _begin(self, stack: ExitStack) -> None:
        # In the folder of the journal, so that renaming is atomic and a kill leaves
        # nothing else behind. With its own suffix, which may mean compression.
        self._unfinished = self._journal.folder / f"unfinished{self.path.suffix}"
        with output_errors(self.path):
            raw = self._unfinished.open("w+b")
            stack.callback(close_quietly, raw)
            self._file = self._format.create(raw)
            stack.callback(self._give_up)

    def _give_up(self) -> None:
        # A library that could not write its file may raise anything when it closes it,
        # and the error that is known already is the one to report.
        with suppress(Exception):
            self._file.close()

    @property
    def n_done(self) -> int:
        """Number of events that are finished, including those of a resumed job."""
        return self._journal.n_events

    @property
    def n_candidates(self) -> int:
        """Number of candidates of all events until now."""
        return self._n_candidates

    @property
    def n_space_points(self) -> int:
        """Number of space points of all events until now, without failed ones."""
        return self._n_points

    @property
    def share_on_candidates(self) -> float | None:
        """Share of the space points that are on candidates; None if there are none."""
        n_points = self._n_points
        return self._n_points_on_candidates / n_points if n_points else None

    @property
    def failures(self) -> tuple[FailureRow, ...]:
        """The failures of all events until now."""
        return tuple(self._failures)

    @property
    def partial(self) -> Path:
        """The folder that is left if the job ends early."""
        return self._journal.folder

    @property
    def parts(self) -> Path:
        """A folder in it for parts that are finished out of order."""
        return self._journal.parts

    def write(self, event: Event, candidates: TrackCandidates | None) -> None:
        """Add one event; None stands for the candidates of a failed event.

        The arrays are not copied, so leave them unchanged.

        Raises
        ------
        ValueError
            If there is not one label per space point of the event.
        OutputError
            If the file cannot be written.
        """
        found = candidates or TrackCandidates.none_among(len(event))
        if candidates is not None and len(candidates.labels) != len(event):
            raise ValueError(
                f"event {event.event_id}: {len(candidates.labels)} labels "
                f"for {len(event)} space points"
            )
        self.write_block(
            TrackBlock(
                event_ids=np.array([event.event_id], dtype=np.int64),
                is_failed=np.array([candidates is None]),
                candidates=CandidateChunk(
                    labels=found.labels,
                    point_splits=np.array([0, len(event)], dtype=np.int64),
                    sizes=found.sizes,
                    candidate_splits=np.array([0, len(found)], dtype=np.int64),
                    space_points=found.space_points,
                ),
            )
        )

    def write_result(self, result: ChunkResult) -> None:
        """Add the events of a chunk: the tracks of its first producer of candidates.

        Failed events have no labels with the loop's policy ``skip``, and -1 for each
        space point with ``fill``.

        Raises
        ------
        ValueError
            If no producer of the loop finds candidates.
        OutputError
            If the file cannot be written.
        """
        self.write_block(TrackBlock.of(result))

    def write_block(self, block: TrackBlock) -> None:
        """Add the events of a block; its arrays are not copied.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        self._pending.append(block)
        self._count(block)
        self._n_values += block.n_values
        self._n_events += len(block)
        if (
            self._n_values >= VALUES_PER_BLOCK
            or self._n_events >= EVENTS_PER_BLOCK
            or self._clock() - self._last_s >= SECONDS_PER_BLOCK
        ):
            self._commit()

    def _commit(self) -> None:
        if not self._pending:
            return
        block = TrackBlock.joined(self._pending)
        self._journal.append(block)
        self._pending, self._n_values, self._n_events = [], 0, 0
        self._add(block)
        self._last_s = self._clock()

    def _count(self, block: TrackBlock) -> None:
        self._n_candidates += len(block.candidates.sizes)
        self._n_points += len(block.candidates.labels)
        self._n_points_on_candidates += len(block.candidates.space_points)
        self._failures += block.failures

    def _add(self, block: TrackBlock) -> None:
        self._wait()
        self._writing = self._thread.submit(self._file.append, block)

    def _wait(self) -> None:
        """Wait until the previous block is written, or raise the error."""
        if self._writing is not None:
            with output_errors(self.path):
                self._writing.result()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:
            if kind is None:
                self._finish()
            else:
                with suppress(OutputError):  # the disk may be full
                    self._keep_pending()

    def _keep_pending(self) -> None:
        if self._pending:
            self._journal.append(TrackBlock.joined(self._pending))

    def _finish(self) -> None:
        self._commit()
        self._wait()
        with output_errors(self.path):
            self._file.finish(self._failures, self.provenance)
            self._file.close()
            for path in self._outputs()[1:]:
                self._write_beside(path)
            self._unfinished.replace(self.path)
        self._journal.remove()

    def _write_beside(self, path: Path) -> None:
        if not self._failures:
            path.unlink(missing_ok=True)  # left by the replaced output
            return
        text = json.dumps([asdict(row) for row in self._failures], indent=1)
        with whole_file(path) as unfinished:
            unfinished.write_text(f"{text}\n", encoding="utf-8")
