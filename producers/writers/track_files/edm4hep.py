"""Tracks in the form of EDM4hep: an RNTuple laid out as podio lays it out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from producers.track_block import FailureRow, TrackBlock
from producers.writers.table import COMPRESSION

__all__ = ["TRACK_FORMATS"]

# edm4hep.yaml v1, podio's doc/storage_details.md: a list of the data members, and one
# of what they refer to.
HEADER = {"eventNumber": "uint64", "runNumber": "uint32"}
TRACK = {
    "type": "int32",
    "chi2": "float32",
    "ndf": "int32",
    "Nholes": "int32",
    "trackerHits_begin": "uint32",
    "trackerHits_end": "uint32",
    "trackStates_begin": "uint32",
    "trackStates_end": "uint32",
}
OBJECT_ID = {"index": "int32", "collectionID": "uint32"}


def _records(members: Mapping[str, str]) -> str:
    listed = ", ".join(f"{name}: {kind}" for name, kind in members.items())
    return f"var * {{{listed}}}"


class Edm4hepTracks:
    """The RNTuple ``events`` with EventHeader, Tracks and ``_Tracks_trackerHits``.

    What is not known of a candidate is zero: its fit, and ``collectionID``, which
    podio makes of the name of the hits' collection. podio's own metadata are not
    there: podio cannot open it, RNTuple readers can.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._file = uproot.recreate(path, compression=COMPRESSION)
        self._events = self._file.mkrntuple(
            "events",
            {
                "EventHeader": _records(HEADER),
                "Tracks": _records(TRACK),
                "_Tracks_trackerHits": _records(OBJECT_ID),
            },
        )

    def append(self, block: TrackBlock) -> None:
        """Add events."""
        own = block.candidates
        ends = np.cumsum(own.sizes)
        # Offsets of hits count from zero in each event.
        n_tracks = np.diff(own.candidate_splits)
        ends -= np.repeat(own.member_splits[:-1], n_tracks)
        known = {"trackerHits_begin": ends - own.sizes, "trackerHits_end": ends}
        hits = {"index": own.space_points}
        header = {"eventNumber": block.event_ids}
        self._events.extend(
            {
                "EventHeader": _lists(HEADER, header, np.ones(len(block), np.int64)),
                "Tracks": _lists(TRACK, known, n_tracks),
                "_Tracks_trackerHits": _lists(
                    OBJECT_ID, hits, np.diff(own.member_splits)
                ),
            }
        )

    def finish(
        self, failures: Sequence[FailureRow], provenance: Mapping[str, Any]
    ) -> None:
        """Write failures and provenance as texts."""
        self._file["provenance"] = json.dumps(provenance, indent=1)
        self._file["failures"] = json.dumps([asdict(row) for row in failures])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


# Any: awkward has no type information.
def _lists(members: Mapping[str, str], known: Mapping[str, Any], counts: Any) -> Any:
    zeros = np.zeros(int(counts.sum()))
    columns = {
        name: np.asarray(known.get(name, zeros)).astype(kind)
        for name, kind in members.items()
    }
    return ak.unflatten(ak.zip(columns), counts)


class _Edm4hepFormat:
    name = "edm4hep"
    summary = "ROOT: RNTuple events with EDM4hep's Tracks"
    suffixes = (".edm4hep.root",)

    def create(self, path: Path) -> Edm4hepTracks:
        """Begin a file."""
        return Edm4hepTracks(path)


TRACK_FORMATS = (_Edm4hepFormat(),)
