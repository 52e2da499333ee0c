"""The tables of a podio file, as far as uproot can write them.

Members, their order and their types are those of EDM4hep 1.0 (edm4hep.yaml) in files of
podio 1.7: podio's doc/storage_details.md, and src/RNTupleWriter.cc for the metadata.
uproot writes no names of C++ classes, so records are anonymous: readers that use the
names of fields accept the file, but ROOT does not read EDM4hep's classes from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import awkward as ak
import numpy as np

from producers.model.types import Untyped


def _record(members: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name}: {kind}' for name, kind in members.items())}}}"


def _spans(*names: str) -> dict[str, str]:
    """Return the offsets of related elements in other collections."""
    ends = [f"{name}_{end}" for name in names for end in ("begin", "end")]
    return dict.fromkeys(ends, "uint32")


HEADER = {
    "eventNumber": "uint64",
    "runNumber": "uint32",
    "timeStamp": "uint64",
    "weight": "float64",
    **_spans("weights"),
}
TRACK = {
    "type": "int32",
    "chi2": "float32",
    "ndf": "int32",
    "Nholes": "int32",
    **_spans("subdetectorHitNumbers", "subdetectorHoleNumbers", "trackStates"),
    **_spans("trackerHits", "tracks"),
}
TRACK_STATE = {
    "location": "int32",
    **dict.fromkeys(("D0", "phi", "omega", "Z0", "tanLambda", "time"), "float32"),
    "referencePoint": _record(dict.fromkeys("xyz", "float32")),
    "covMatrix": _record({"values": "21 * float32"}),
}
OBJECT_ID = {"index": "int32", "collectionID": "uint32"}

EVENT_FIELDS = {
    "EventHeader": _record(HEADER),
    "_EventHeader_weights": "float64",
    "Tracks": _record(TRACK),
    "_Tracks_trackerHits": _record(OBJECT_ID),
    "_Tracks_tracks": _record(OBJECT_ID),
    "_Tracks_subdetectorHitNumbers": "int32",
    "_Tracks_subdetectorHoleNumbers": "int32",
    "_Tracks_trackStates": _record(TRACK_STATE),
    "GPIntKeys": "string",
    "GPIntValues": "var * int32",
    "GPFloatKeys": "string",
    "GPFloatValues": "var * float32",
    "GPDoubleKeys": "string",
    "GPDoubleValues": "var * float64",
    "GPStringKeys": "string",
    "GPStringValues": "var * string",
}
"""Columns of the RNTuple ``events``: a list per event, of elements of this type. The
last ones are the event's parameters."""

COLLECTION_INFO = {
    "collectionID": "uint32",
    "dataType": "string",
    "isSubset": "bool",
    "schemaVersion": "uint32",
    "name": "string",
    "storageType": "string",
}
METADATA_FIELDS = {
    "PodioBuildVersion": "uint16",
    "edm4hep___Version": "uint16",
    "EDMDefinitions": "(string, string)",
    "availableCategories": "string",
    "events___CollectionTypeInfo": _record(COLLECTION_INFO),
}
"""Columns of the RNTuple ``podio_metadata``: one entry of lists."""

PODIO_VERSION, EDM4HEP_VERSION, SCHEMA_VERSION = (1, 7, 0), (1, 0, 0), 6

# The id of a collection is MurmurHash3_x86_32 of its name
# (podio, src/CollectionIDTable.cc).
COLLECTIONS = {"EventHeader": 3616779153, "Tracks": 1178900965}
TRACKER_HITS_ID = 3372654796
"""The id of the name ``TrackerHits``."""

TYPES = {"EventHeader": "EventHeader", "Tracks": "Track"}


def list_types(fields: Mapping[str, str]) -> dict[str, Untyped]:
    """Return the types of columns that are a list of these elements per event."""
    return {name: ak.types.ListType(_type_of(kind)) for name, kind in fields.items()}


@cache
def _type_of(kind: str) -> Untyped:
    # Awkward takes milliseconds to parse a text.
    return ak.types.from_datashape(kind, highlevel=False)


def lists_of(kind: str, known: Mapping[str, Untyped], counts: Untyped) -> Untyped:
    """Return one list of records per event; unknown members are zero.

    Parameters
    ----------
    kind : str
        A value of `EVENT_FIELDS` that is a record of numbers.
    known : mapping of str to ndarray, shape (n_records,)
    counts : ndarray, shape (n_events,), int64
    """
    zeros = np.zeros(int(counts.sum()))
    form = ak.forms.from_type(_type_of(kind))
    columns = {
        name: np.asarray(known.get(name, zeros)).astype(content.primitive)
        for name, content in zip(form.fields, form.contents, strict=True)
    }
    return ak.unflatten(ak.zip(columns), counts)


def empty_lists(kind: str, n_events: int) -> Untyped:
    """Return one empty list per event, of elements of this type."""
    form = ak.forms.from_type(_type_of(kind))
    return ak.unflatten(form.length_zero_array(), np.zeros(n_events, np.int64))


def metadata_row() -> dict[str, Untyped]:
    """Return the entry of ``podio_metadata``.

    ``EDMDefinitions`` is empty; podio uses it for classes it was not built with.
    """
    info = [
        {
            "collectionID": number,
            "dataType": f"edm4hep::{TYPES[name]}Collection",
            "isSubset": False,
            "schemaVersion": SCHEMA_VERSION,
            "name": name,
            "storageType": f"std::vector<edm4hep::{TYPES[name]}Data>",
        }
        for name, number in COLLECTIONS.items()
    ]
    return {
        "PodioBuildVersion": _one_list(np.array(PODIO_VERSION, np.uint16)),
        "edm4hep___Version": _one_list(np.array(EDM4HEP_VERSION, np.uint16)),
        "EDMDefinitions": empty_lists(METADATA_FIELDS["EDMDefinitions"], 1),
        "availableCategories": _one_list(ak.Array(["events"])),
        "events___CollectionTypeInfo": _one_list(_typed(info)),
    }


def _typed(records: Sequence[Mapping[str, Untyped]]) -> Untyped:
    columns = {}
    for name, kind in COLLECTION_INFO.items():
        values = [record[name] for record in records]
        columns[name] = ak.Array(values) if kind == "string" else np.array(values, kind)
    return ak.zip(columns, depth_limit=1)


def _one_list(values: Untyped) -> Untyped:
    return ak.unflatten(values, [len(values)])
