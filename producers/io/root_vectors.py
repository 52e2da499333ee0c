"""Vectors of three numbers as ROOT stores them in the branches of a TTree.

Split branches have a branch for each coordinate, and need nothing of this. A
``vector<TVector3>`` is never split; uproot reads it as records. A
``vector<ROOT::Math::XYZVectorF>`` or the like of split level 0 is stored by members,
each with a header of its own, which uproot (5.7) takes for numbers.
"""

from __future__ import annotations

import re

import awkward as ak
import numpy as np
import uproot

from producers.io.location import Location
from producers.model.errors import UnreadableFileError
from producers.model.types import Untyped

WHOLE = re.compile(
    r"(?:std::)?vector<ROOT::Math::(?:Displacement|Position)Vector3D<"
    r"ROOT::Math::Cartesian3D<(float|double)>"
)
ENTRY_HEADER_BYTES = 16
"""Bytes, version, class version, checksum and length of the vector: 4, 2, 2, 4, 4."""

COORDINATES = ("fX", "fY", "fZ")

HEADER = (("@num_bytes", ">u4"), ("@version", ">u2"), ("@checksum", ">u4"))
"""Before the three numbers of each vector."""

REST_OF_HEADER_BYTES = 6
"""What the number of bytes counts of the header: all after itself."""

HAS_COUNT = 1 << 30
"""Flag of a number of bytes (TBufferFile, kByteCountMask)."""


def whole_vectors(branch: Untyped) -> Untyped:
    """Return how the vectors of a branch are read, if uproot reads them wrongly."""
    match = WHOLE.match(str(getattr(branch, "typename", "")))
    if match is None or not hasattr(branch, "interpretation"):
        return None  # an RNTuple, which has a field for each number
    if isinstance(branch.interpretation, uproot.AsGrouped):
        return None  # split
    number = ">f4" if match[1] == "float" else ">f8"
    kind = np.dtype([*HEADER, *((name, number) for name in COORDINATES)])
    return uproot.AsJagged(uproot.AsDtype(kind), header_bytes=ENTRY_HEADER_BYTES)


def require_whole_vectors(path: Location, name: str, array: Untyped) -> None:
    """Check the headers of vectors that were read by `whole_vectors`.

    Raises
    ------
    UnreadableFileError
        If the vectors are stored in another way.
    """
    vectors = ak.flatten(array)
    numbers = sum(ak.to_numpy(vectors[each]).dtype.itemsize for each in COORDINATES)
    expected = HAS_COUNT | (numbers + REST_OF_HEADER_BYTES)
    if (ak.to_numpy(vectors["@num_bytes"]) != expected).any():
        raise UnreadableFileError(
            path,
            f"the vectors of column {name!r} are stored in a way that cannot be read; "
            "write its branch with split level 1 or more",
        )


def members_of(branch: Untyped) -> dict[str, str]:
    """Return the numbers in vectors that are stored whole, with their C++ types."""
    if "Vector3" not in str(getattr(branch, "typename", "")):
        return {}
    whole = whole_vectors(branch)
    kind = whole if whole is not None else getattr(branch, "interpretation", None)
    objects = getattr(kind, "content", None)
    if isinstance(objects, uproot.AsDtype):
        members = [(name, objects.from_dtype[name]) for name in COORDINATES]
    elif isinstance(objects, uproot.AsStridedObjects):
        members = [(k, v) for k, v in objects.members if isinstance(v, np.dtype)]
    else:
        return {}
    return {
        name: f"{'double' if number.itemsize == 8 else 'float'}[]"
        for name, number in members
        if number.kind == "f" and not name.startswith("@")
    }
