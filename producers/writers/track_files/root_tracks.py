"""Tracks in ROOT files, as TTrees or RNTuples of the same columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from producers.model.track_block import FailureRow, TrackBlock
from producers.writers.table import COMPRESSION, RootForm

__all__ = ["TRACK_FORMATS"]

# Not as texts, which awkward takes milliseconds to understand.
LISTS = ak.types.ListType(ak.types.NumpyType("int32"))
LABELS = {"event": "int64", "is_failed": "bool", "sp_label": LISTS}
CANDIDATES = {"event": "int64", "n_space_points": LISTS, "sp_index": LISTS}


class RootTracks:
    """The tables ``labels`` and ``candidates``, at the end ``failures``.

    Parameters
    ----------
    path : Path
    form : {"ttree", "rntuple"}
    """

    def __init__(self, path: Path, form: RootForm) -> None:
        self._file = uproot.recreate(path, compression=COMPRESSION)
        self._make = self._file.mktree if form == "ttree" else self._file.mkrntuple
        self._labels = self._make("labels", LABELS)
        self._candidates = self._make("candidates", CANDIDATES)

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
        """Write the table of failures, empty or not, and the provenance."""
        text = json.dumps(provenance, indent=1)
        names = [field.name for field in fields(FailureRow)]
        rows = [asdict(row) for row in failures]
        is_text = {field.name: field.type == "str" for field in fields(FailureRow)}
        # A row that does not count gives uproot the types where there is no failure.
        text_type = ak.Array(["text"]).type.content
        table = self._make(
            "failures", {n: text_type if is_text[n] else "int64" for n in names}
        )
        if rows:
            table.extend(
                {
                    name: ak.Array([row[name] for row in rows])
                    if is_text[name]
                    else np.array([row[name] for row in rows], dtype=np.int64)
                    for name in names
                }
            )
        self._file["provenance"] = text

    def close(self) -> None:
        """Close the file."""
        self._file.close()


# Any: awkward has no type information.
def _lists(values: NDArray[np.int64], splits: NDArray[np.int64]) -> Any:
    return ak.unflatten(values.astype(np.int32), np.diff(splits))


@dataclass(frozen=True, slots=True)
class _RootFormat:
    name: RootForm
    summary: str
    suffixes: tuple[str, ...]
    holds_failures: bool = True

    def create(self, path: Path) -> RootTracks:
        """Begin a file."""
        return RootTracks(path, self.name)


TRACK_FORMATS = (
    _RootFormat("ttree", "ROOT: TTrees labels, candidates, failures", (".root",)),
    _RootFormat("rntuple", "ROOT: RNTuples of the same columns", ()),
)
