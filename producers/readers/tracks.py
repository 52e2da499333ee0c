"""The file of a tracking job, read back; complete, or what was finished of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from producers.model.candidates import CandidateChunk, TrackCandidates
from producers.model.errors import (
    InvalidEventError,
    UnequalEventsError,
    UnreadableFileError,
)
from producers.model.iteration import iterating
from producers.model.track_block import TrackBlock
from producers.readers.content import FileContent
from producers.readers.event_chunks import CHUNK_BYTES
from producers.readers.location import Location, PathLike, locations
from producers.readers.parquet_file import ParquetTable, open_parquet
from producers.readers.partial import is_partial, read_blocks
from producers.readers.prefetch import prefetched
from producers.readers.root_file import RootFile, open_root
from producers.readers.root_table import Lists, RootTable, step_of

__all__ = ["TrackEvent", "TrackEvents"]

LABELS = ["sp_label"]
CANDIDATES = ["n_space_points", "sp_index"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrackEvent:
    """The candidates of one event.

    Attributes
    ----------
    event_id : int
    candidates : TrackCandidates
        Of a failed event that was skipped, without any label.
    is_failed : bool
        Whether the event got no answer.
    """

    event_id: int
    candidates: TrackCandidates
    is_failed: bool = False


class _TrackFile(Protocol):
    # Any: JSON values of several kinds.
    provenance: dict[str, Any]

    def __len__(self) -> int: ...

    def blocks(self) -> Iterator[TrackBlock]: ...


class TrackEvents:
    """Iterable over the events of a file that `TrackWriter` wrote.

    Reads TTrees, RNTuples and parquet, and the folder ``<output>.partial`` that an
    interrupted job left.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    provenance : dict
        Where the tracks come from; of an interrupted job empty.

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If the file is not there, or is no file of tracks.
    UnequalEventsError
        If its two trees have different numbers of entries.
    """

    def __init__(self, path: PathLike) -> None:
        self.path: Location = Path(path) if is_partial(path) else locations(path)[0]
        self._file = _open(self.path)
        self.provenance = self._file.provenance

    def __len__(self) -> int:
        return len(self._file)

    def __iter__(self) -> Iterator[TrackEvent]:
        with iterating(prefetched(self._file.blocks())) as blocks:
            for block in blocks:
                events = zip(
                    block.event_ids, block.candidates, block.is_failed, strict=True
                )
                for event_id, candidates, is_failed in events:
                    yield TrackEvent(
                        event_id=int(event_id),
                        candidates=candidates,
                        is_failed=bool(is_failed),
                    )


def _open(path: Location) -> _TrackFile:
    if is_partial(path):
        return _PartialTracks(Path(path))
    if FileContent(path).container == "parquet":
        return _ParquetTracks(path)
    return _RootTracks(path)


class _PartialTracks:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.provenance: dict[str, Any] = {}

    def __len__(self) -> int:
        return sum(map(len, read_blocks(self._folder)))

    def blocks(self) -> Iterator[TrackBlock]:
        return read_blocks(self._folder)


class _RootTracks:
    def __init__(self, path: Location) -> None:
        self._path = path
        with open_root(path) as file:
            labels, candidates = file.table("labels"), file.table("candidates")
            labels.require(LABELS, scalars=("event",))
            candidates.require(CANDIDATES, scalars=("event",))
            if len(labels) != len(candidates):
                raise UnequalEventsError(
                    f"{path}: {len(labels)} events in 'labels', "
                    f"{len(candidates)} in 'candidates'"
                )
            self._n_events = len(labels)
            self.provenance = _provenance(file)

    def __len__(self) -> int:
        return self._n_events

    def blocks(self) -> Iterator[TrackBlock]:
        with open_root(self._path) as file:
            labels, candidates = file.table("labels"), file.table("candidates")
            step = step_of(labels, LABELS, CHUNK_BYTES)
            for start in range(0, len(self), step):
                stop = min(start + step, len(self))
                yield self._read(labels, candidates, start, stop)

    def _read(
        self, labels: RootTable, candidates: RootTable, start: int, stop: int
    ) -> TrackBlock:
        event_ids = labels.scalars("event", start, stop)
        has_mask = "is_failed" in labels.columns
        return _block(
            self._path,
            start,
            event_ids,
            labels.scalars("is_failed", start, stop) if has_mask else None,
            [
                *labels.lists(LABELS, start, stop),
                *candidates.lists(CANDIDATES, start, stop),
            ],
        )


# Any: JSON values of several kinds.
def _provenance(file: RootFile) -> dict[str, Any]:
    return _parsed(file.path, file.text("provenance"))


def _parsed(path: Location, text: str | None) -> dict[str, Any]:
    try:
        content = json.loads(text or "{}")
    except ValueError as error:
        raise UnreadableFileError(path, f"provenance: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableFileError(path, "provenance: expected a JSON object")
    return content


class _ParquetTracks:
    def __init__(self, path: Location) -> None:
        self._path = path
        with open_parquet(path) as table:
            table.require([*LABELS, *CANDIDATES], scalars=("event",))
            self._n_events = len(table)
            self.provenance = _parsed(path, table.text("provenance"))

    def __len__(self) -> int:
        return self._n_events

    def blocks(self) -> Iterator[TrackBlock]:
        columns = ["event", "is_failed", *LABELS, *CANDIDATES]
        with open_parquet(self._path) as table:
            step = table.step_of(columns, CHUNK_BYTES)
            for first, block in table.blocks(columns, 0, len(self), step):
                yield self._block(table, first, block)

    # Any: pyarrow has no type information.
    def _block(self, table: ParquetTable, first: int, block: Any) -> TrackBlock:
        return _block(
            self._path,
            first,
            table.scalars(block["event"], "event"),
            table.scalars(block["is_failed"], "is_failed"),
            [table.lists(block[name], name) for name in (*LABELS, *CANDIDATES)],
        )


# Any: integers and flags.
def _block(
    path: Location,
    first: int,
    event_ids: Any,
    is_failed: Any,
    columns: Sequence[Lists],
) -> TrackBlock:
    labels, sizes, points = columns
    block = TrackBlock(
        event_ids=event_ids,
        is_failed=np.zeros(len(event_ids), bool) if is_failed is None else is_failed,
        candidates=CandidateChunk(
            labels=labels.values.astype(np.int64),
            point_splits=_splits(labels.counts),
            sizes=sizes.values.astype(np.int64),
            candidate_splits=_splits(sizes.counts),
            space_points=points.values.astype(np.int64),
        ),
    )
    fits = np.diff(_splits(sizes.values)[block.candidates.candidate_splits])
    is_wrong = fits != points.counts
    beyond = points.values >= np.repeat(labels.counts, points.counts)
    is_wrong[np.repeat(np.arange(len(block)), points.counts)[beyond]] = True
    if is_wrong.any():
        index = int(np.flatnonzero(is_wrong)[0])
        raise InvalidEventError(
            path,
            event_id=int(event_ids[index]),
            entry=first + index,
            reason="its candidates do not fit its space points",
        )
    return block


def _splits(counts: Any) -> Any:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
