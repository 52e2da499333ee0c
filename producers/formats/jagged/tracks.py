"""Tracks in ROOT files, as TTrees or RNTuples of the same columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import IO, Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from producers.formats.base import TrackFormat
from producers.formats.chunks import CHUNK_BYTES, ranges
from producers.formats.track_columns import (
    CANDIDATES,
    LABELS,
    block_of,
    parsed_provenance,
)
from producers.io.location import Location
from producers.io.root import RootTable, open_root
from producers.io.root_writer import COMPRESSION, RootForm
from producers.model.errors import SchemaError, UnequalEventsError
from producers.model.track_block import FailureRow, TrackBlock
from producers.model.types import Untyped

# Not as texts, which awkward takes milliseconds to parse.
LISTS = ak.types.ListType(ak.types.NumpyType("int32"))
LABEL_TYPES = {"event": "int64", "is_failed": "bool"} | dict.fromkeys(LABELS, LISTS)
CANDIDATE_TYPES = {"event": "int64"} | dict.fromkeys(CANDIDATES, LISTS)


class RootTracks:
    """The tables ``labels`` and ``candidates``, and at the end ``failures``.

    Parameters
    ----------
    file : file
    form : {"ttree", "rntuple"}
    """

    def __init__(self, file: IO[bytes], form: RootForm) -> None:
        self._file = uproot.recreate(file, compression=COMPRESSION)
        self._make = self._file.mktree if form == "ttree" else self._file.mkrntuple
        self._labels = self._make("labels", LABEL_TYPES)
        self._candidates = self._make("candidates", CANDIDATE_TYPES)

    def append(self, block: TrackBlock) -> None:
        """Add events."""
        own = block.candidates
        self._labels.extend(
            {
                "event": block.event_ids,
                "is_failed": block.is_failed,
                "sp_label": _lists(own.labels, own.point_splits),
            }
        )
        self._candidates.extend(
            {
                "event": block.event_ids,
                "n_space_points": _lists(own.sizes, own.candidate_splits),
                "sp_index": _lists(own.space_points, own.member_splits),
            }
        )

    def finish(
        self, failures: Sequence[FailureRow], provenance: Mapping[str, Any]
    ) -> None:
        """Write the table of failures, which may be empty, and the provenance."""
        is_text = {field.name: field.type == "str" for field in fields(FailureRow)}
        text_type = ak.Array(["text"]).type.content
        table = self._make(
            "failures", {n: text_type if is_text[n] else "int64" for n in is_text}
        )
        rows = [asdict(row) for row in failures]
        if rows:
            table.extend(
                {
                    name: ak.Array([row[name] for row in rows])
                    if is_text[name]
                    else np.array([row[name] for row in rows], dtype=np.int64)
                    for name in is_text
                }
            )
        self._file["provenance"] = json.dumps(provenance, indent=1)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _lists(values: NDArray[np.int64], splits: NDArray[np.int64]) -> Untyped:
    return ak.unflatten(values.astype(np.int32), np.diff(splits))


class ReadableRootTracks:
    """A file that `RootTracks` wrote; see `ReadableTracks`.

    Parameters
    ----------
    path : Path or str

    Raises
    ------
    SchemaError, UnreadableFileError
        If it is not such a file.
    UnequalEventsError
        If its two tables have different numbers of entries.
    """

    def __init__(self, path: Location) -> None:
        self._path = path
        with open_root(path) as file:
            if "labels" not in file.table_names:
                names = ", ".join(map(repr, file.table_names)) or "none"
                raise SchemaError(
                    path,
                    "not a file of tracks: no TTree or RNTuple 'labels' (there are: "
                    f"{names}); give the output of sonic track",
                )
            labels, candidates = file.table("labels"), file.table("candidates")
            labels.require(lists=LABELS, integers=["event"])
            candidates.require(lists=CANDIDATES, integers=["event"])
            if len(labels) != len(candidates):
                raise UnequalEventsError(
                    f"{path}: {len(labels)} events in 'labels', "
                    f"{len(candidates)} in 'candidates'"
                )
            self._n_events = len(labels)
            self.provenance = parsed_provenance(path, file.text("provenance"))

    def __len__(self) -> int:
        return self._n_events

    def blocks(self) -> Iterator[TrackBlock]:
        """Read the events in order, some MB at a time."""
        with open_root(self._path) as file:
            labels, candidates = file.table("labels"), file.table("candidates")
            step = labels.entries_in(CHUNK_BYTES, LABELS)
            for start, stop in ranges(0, len(self), step):
                yield self._read(labels, candidates, start, stop)

    def _read(
        self, labels: RootTable, candidates: RootTable, start: int, stop: int
    ) -> TrackBlock:
        event_ids = labels.scalars("event", start, stop)
        is_failed = (
            labels.scalars("is_failed", start, stop)
            if "is_failed" in labels.columns
            else np.zeros(len(event_ids), dtype=np.bool_)
        )
        columns = [
            *labels.lists(LABELS, start, stop),
            *candidates.lists(CANDIDATES, start, stop),
        ]
        return block_of(self._path, start, event_ids, is_failed, columns)


def _format(name: RootForm, suffixes: tuple[str, ...]) -> TrackFormat:
    return TrackFormat(
        name=name,
        suffixes=suffixes,
        create=partial(RootTracks, form=name),
    )


TRACKS = (
    _format("ttree", suffixes=(".root",)),
    _format("rntuple", suffixes=()),
)
