"""Tracks in parquet: one row per event."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.model.track_block import FailureRow, TrackBlock
from producers.readers.parquet_file import require_pyarrow

__all__ = ["TRACK_FORMATS"]


class ParquetTracks:
    """One row per event; ``provenance`` and ``failures`` as JSON in the metadata.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        parquet = require_pyarrow()
        import pyarrow  # noqa: PLC0415 - loaded already

        self._arrow: Any = pyarrow
        lists = pyarrow.list_(pyarrow.int32())
        self._schema = pyarrow.schema(
            [
                ("event", pyarrow.int64()),
                ("is_failed", pyarrow.bool_()),
                ("sp_label", lists),
                ("n_space_points", lists),
                ("sp_index", lists),
            ]
        )
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

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

    def _lists(self, values: NDArray[np.int64], splits: NDArray[np.int64]) -> Any:
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


class _ParquetFormat:
    name = "parquet"
    summary = "parquet: one row per event"
    suffixes = (".parquet",)
    holds_failures = True

    def create(self, path: Path) -> ParquetTracks:
        """Begin a file."""
        return ParquetTracks(path)


TRACK_FORMATS = (_ParquetFormat(),)
