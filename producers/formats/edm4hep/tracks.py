"""Tracks in the form of EDM4hep: an RNTuple laid out as podio lays it out."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain, groupby
from typing import IO, Any

import awkward as ak
import numpy as np
import uproot

from producers.formats.base import TrackFormat
from producers.formats.edm4hep.podio import (
    EVENT_FIELDS,
    METADATA_FIELDS,
    TRACKER_HITS_ID,
    empty_lists,
    list_types,
    lists_of,
    metadata_row,
)
from producers.io.root_writer import COMPRESSION
from producers.model.track_block import FailureRow, TrackBlock
from producers.model.types import Untyped


class Edm4hepTracks:
    """The RNTuples ``events``, with EventHeader and Tracks, and ``podio_metadata``.

    ``_Tracks_trackerHits`` has the space points of all tracks, one track after
    another: ``index`` is the position in the event, ``collectionID`` is podio's id of
    the name ``TrackerHits``. The hits themselves are only in the input. The unknown
    quantities of a candidate, such as its fit and its states, are zero or empty. The
    causes of a failed event are its parameter ``failure``.

    Parameters
    ----------
    file : file
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = uproot.recreate(file, compression=COMPRESSION)
        self._events = self._file.mkrntuple("events", list_types(EVENT_FIELDS))

    def append(self, block: TrackBlock) -> None:
        """Add events."""
        own, n_events = block.candidates, len(block)
        ends = np.cumsum(own.sizes)
        # Offsets of hits count from zero in each event.
        n_tracks = np.diff(own.candidate_splits)
        ends -= np.repeat(own.member_splits[:-1], n_tracks)
        hits = {
            "index": own.space_points,
            "collectionID": np.full(len(own.space_points), TRACKER_HITS_ID),
        }
        known = {
            "EventHeader": ({"eventNumber": block.event_ids}, np.ones(n_events, int)),
            "Tracks": (
                {"trackerHits_begin": ends - own.sizes, "trackerHits_end": ends},
                n_tracks,
            ),
            "_Tracks_trackerHits": (hits, np.diff(own.member_splits)),
        }
        columns = {
            name: lists_of(EVENT_FIELDS[name], *known[name])
            if name in known
            else empty_lists(EVENT_FIELDS[name], n_events)
            for name in EVENT_FIELDS
        }
        self._events.extend(columns | _parameters(block))

    def finish(
        self, failures: Sequence[FailureRow], provenance: Mapping[str, Any]
    ) -> None:
        """Write podio's metadata; failures and provenance as texts."""
        types = list_types(METADATA_FIELDS)
        metadata = self._file.mkrntuple("podio_metadata", types)
        metadata.extend(metadata_row())
        self._file["provenance"] = json.dumps(provenance, indent=1)
        self._file["failures"] = json.dumps([asdict(row) for row in failures])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _parameters(block: TrackBlock) -> dict[str, Untyped]:
    """Return the parameters of the events; empty unless an event failed."""
    if not block.failures:
        return {}
    causes = _causes(block)
    n_keys = [int(bool(each)) for each in causes]
    of_failed = ak.unflatten(
        _texts(list(chain.from_iterable(causes))),
        [len(each) for each in causes if each],
    )
    return {
        "GPStringKeys": ak.unflatten(_texts(["failure"] * sum(n_keys)), n_keys),
        "GPStringValues": ak.unflatten(of_failed, n_keys),
    }


def _causes(block: TrackBlock) -> list[list[str]]:
    """Return the causes of each event, one for each step that failed."""
    # Two files may have events of the same number.
    by_event = groupby(block.failures, lambda row: (row.source, row.entry, row.event))
    failed = deque(list(rows) for _, rows in by_event)
    causes: list[list[str]] = []
    for event_id, is_failed in zip(block.event_ids, block.is_failed, strict=True):
        is_next = is_failed and failed and failed[0][0].event == event_id
        causes.append([row.cause for row in failed.popleft()] if is_next else [])
    return causes


def _texts(texts: Sequence[str]) -> Untyped:
    # The type is that of texts even if there is none.
    return ak.Array([*texts, ""])[: len(texts)]


TRACKS = (
    TrackFormat(
        name="edm4hep",
        suffixes=(".edm4hep.root",),
        create=Edm4hepTracks,
    ),
)
