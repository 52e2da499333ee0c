"""Tracks in parquet: one row per event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from producers.formats.base import TrackFormat
from producers.formats.chunks import CHUNK_BYTES
from producers.formats.track_columns import (
    CANDIDATES,
    LABELS,
    block_of,
    parsed_provenance,
)
from producers.io.location import Location
from producers.io.parquet import open_parquet, require_pyarrow
from producers.model.track_block import FailureRow, TrackBlock
from producers.model.types import Untyped

LISTS = (*LABELS, *CANDIDATES)


class ParquetTracks:
    """One row per event; ``provenance`` and ``failures`` as JSON in the metadata.

    Parameters
    ----------
    file : file
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._arrow: Untyped = require_pyarrow()
        lists = self._arrow.list_(self._arrow.int32())
        self._schema = self._arrow.schema(
            [("event", self._arrow.int64()), ("is_failed", self._arrow.bool_())]
            + [(name, lists) for name in LISTS]
        )
        self._file = file
        self._writer = self._arrow.parquet.ParquetWriter(
            file, self._schema, compression="zstd"
        )

    def append(self, block: TrackBlock) -> None:
        """Add events, as a row group."""
        own = block.candidates
        columns = [
            self._arrow.array(block.event_ids),
            self._arrow.array(block.is_failed),
            self._lists(own.labels, own.point_splits),
            self._lists(own.sizes, own.candidate_splits),
            self._lists(own.space_points, own.member_splits),
        ]
        table = self._arrow.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table)

    def _lists(self, values: NDArray[np.int64], splits: NDArray[np.int64]) -> Untyped:
        return self._arrow.ListArray.from_arrays(
            splits.astype(np.int32), values.astype(np.int32)
        )

    def finish(
        self, failures: Sequence[FailureRow], provenance: Mapping[str, Any]
    ) -> None:
        """Write the failures and the provenance into the metadata."""
        self._writer.add_key_value_metadata(
            {
                "provenance": json.dumps(provenance),
                "failures": json.dumps([asdict(row) for row in failures]),
            }
        )

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
        self._file.close()


class ReadableParquetTracks:
    """A file that `ParquetTracks` wrote; see `ReadableTracks`.

    Parameters
    ----------
    path : Path or str

    Raises
    ------
    SchemaError, UnreadableFileError
        If it is not such a file.
    """

    def __init__(self, path: Location) -> None:
        self._path = path
        with open_parquet(path) as table:
            table.require(lists=LISTS, integers=["event"])
            self._n_events = len(table)
            self.provenance = parsed_provenance(path, table.text("provenance"))

    def __len__(self) -> int:
        return self._n_events

    def blocks(self) -> Iterator[TrackBlock]:
        """Read the events in order, some MB at a time."""
        with open_parquet(self._path) as table:
            has_failed = "is_failed" in table.column_types
            scalars = ("event", "is_failed") if has_failed else ("event",)
            step = table.entries_in(CHUNK_BYTES, [*scalars, *LISTS])
            for block in table.blocks(
                LISTS, scalars, start=0, stop=len(self), step=step
            ):
                event_ids = block.scalars["event"]
                yield block_of(
                    self._path,
                    block.first,
                    event_ids,
                    block.scalars.get("is_failed", np.zeros_like(event_ids)).astype(
                        np.bool_
                    ),
                    [block.lists[name] for name in LISTS],
                )


TRACKS = (
    TrackFormat(
        name="parquet",
        suffixes=(".parquet",),
        create=ParquetTracks,
    ),
)
