"""Names for types that cannot be stated more exactly."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

__all__ = ["AnyArray", "JsonObject", "Untyped"]

AnyArray: TypeAlias = NDArray[Any]
"""An array whose element type differs from file to file, or from column to column."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object: values of several types, nested."""

Untyped: TypeAlias = Any
"""An object of a package without type information: uproot, awkward, pyarrow, hist..."""
