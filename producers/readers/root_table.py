"""TTrees and RNTuples through uproot: flat lists, and errors that name the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from producers.model.errors import DataError, SchemaError, UnreadableFileError
from producers.readers.location import Location
from sonic_base.errors import nearest_names

__all__ = ["Lists", "RootTable", "damage_named", "step_of"]


class Lists(NamedTuple):
    """A column with one list per entry, flat."""

    values: NDArray[Any]  #: all elements, in order
    counts: NDArray[np.int64]  #: length of each entry's list


@dataclass(frozen=True, eq=False)
class RootTable:
    """A TTree or RNTuple of an open file.

    Attributes
    ----------
    path : Path or str
    name : str
    tree : uproot.TTree or uproot.RNTuple
    """

    path: Location
    name: str
    tree: Any  # uproot has no type information

    def __len__(self) -> int:
        return int(self.tree.num_entries)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names that can be read; members of a split branch also without its path."""
        names = list(self.tree.keys())
        short = [name.rpartition("/")[2] for name in names if "/" in name]
        return tuple(dict.fromkeys(names + short))

    @cached_property
    def column_types(self) -> dict[str, str]:
        """Types of the columns, in C++'s words, ``double[]`` for a list of them."""
        types: dict[str, str] = {}
        for name in self.tree.keys():  # noqa: SIM118 - uproot's trees are no mappings
            kind = str(self.tree[name].typename)
            types[name] = types[name.rpartition("/")[2]] = kind
        return types

    def require(self, columns: Sequence[str], *, scalars: Sequence[str] = ()) -> None:
        """Check that the columns are there and hold numbers, reading no entry.

        Parameters
        ----------
        columns : sequence of str
            Those that must hold one list of numbers per entry.
        scalars : sequence of str
            Those that must hold one integer per entry.

        Raises
        ------
        SchemaError
            If one is not there, with the nearest names, or holds something else.
        """
        empty = self._no_entries((*scalars, *columns))
        for name in scalars:
            self._require_form(empty, name, 1, "an integer per entry", "iu")
        for name in columns:
            self._require_form(empty, name, 2, "a list of numbers per entry", "iuf")

    def require_rows(self, columns: Sequence[str], integers: Sequence[str]) -> None:
        """Check that the columns are there and hold one number per entry.

        Raises
        ------
        SchemaError
            As `require`.
        """
        empty = self._no_entries((*integers, *columns))
        for name in integers:
            self._require_form(empty, name, 1, "an integer per entry", "iu")
        for name in columns:
            self._require_form(empty, name, 1, "a number per entry", "iuf")

    def _no_entries(self, columns: Sequence[str]) -> Any:
        for name in columns:
            if name not in self.columns:
                raise SchemaError(
                    self.path,
                    f"no column {name!r} in {self.name!r}, "
                    f"{nearest_names(name, self.columns)}",
                )
        # No entries give the types. The end, because uproot reads the first basket
        # for the range 0 to 0.
        return self._arrays(columns, len(self), len(self))

    def _require_form(
        self, arrays: Any, name: str, ndim: int, wanted: str, kinds: str
    ) -> None:
        array = _member(arrays, name)
        holds = str(array.type.content)
        is_plain = not array.fields and array.ndim == ndim and "?" not in holds
        if not is_plain or ak.to_numpy(ak.flatten(array, None)).dtype.kind not in kinds:
            raise SchemaError(
                self.path,
                f"column {name!r} of {self.name!r}: expected {wanted}, got {holds}",
            )

    def scalars(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Read one number per entry."""
        return self.rows([name], start, stop)[name]

    def rows(
        self, columns: Sequence[str], start: int, stop: int
    ) -> dict[str, NDArray[Any]]:
        """Read columns of one number per entry, by name.

        Raises
        ------
        UnreadableFileError
            If the file is damaged there.
        """
        arrays = self._arrays(columns, start, stop)
        return {
            name: np.asarray(ak.to_numpy(_member(arrays, name))) for name in columns
        }

    def per_event(
        self, columns: Sequence[str], start: int, stop: int
    ) -> dict[str, list[NDArray[Any]]]:
        """Read columns of lists as one array per entry, by name.

        Raises
        ------
        UnreadableFileError
            If the file is damaged there.
        """
        lists = self.lists(columns, start, stop)
        return {
            name: np.split(column.values, np.cumsum(column.counts)[:-1])
            for name, column in zip(columns, lists, strict=True)
        }

    def texts(self, name: str) -> list[str]:
        """Read the list of texts of the first entry.

        Raises
        ------
        SchemaError
            If there is no such column, with the nearest names.
        UnreadableFileError
            If the file is damaged there.
        """
        self._no_entries([name])
        texts: list[str] = _member(self._arrays([name], 0, 1), name)[0].to_list()
        return texts

    def nested(
        self, columns: Sequence[str], start: int, stop: int
    ) -> dict[str, list[list[NDArray[Any]]]]:
        """Read columns of lists of lists: an array per inner list, by name.

        Raises
        ------
        UnreadableFileError
            If the file is damaged there.
        """
        arrays = self._arrays(columns, start, stop)
        found = {}
        for name in columns:
            entries = _member(arrays, name)
            flat = ak.flatten(entries, axis=1)
            values, counts = _flat(flat)
            inner = iter(np.split(values, np.cumsum(counts)[:-1]))
            found[name] = [
                [next(inner) for _ in range(n)] for n in ak.num(entries, axis=1)
            ]
        return found

    def lists(self, columns: Sequence[str], start: int, stop: int) -> list[Lists]:
        """Read columns of lists, for the entries from `start` to before `stop`.

        Raises
        ------
        UnreadableFileError
            If the file is damaged there.
        """
        arrays = self._arrays(columns, start, stop)
        return [_flat(_member(arrays, name)) for name in columns]

    def _arrays(self, columns: Sequence[str], start: int, stop: int) -> Any:
        with damage_named(self.path, f"{self.name!r}, entries {start} to {stop}"):
            return self.tree.arrays(
                list(columns), entry_start=start, entry_stop=stop, library="ak"
            )


def step_of(table: RootTable, columns: Sequence[str], n_bytes: int) -> int:
    """Return how many entries hold about `n_bytes` of the columns, at least one."""
    with damage_named(table.path, f"{table.name!r}"):
        return max(1, int(table.tree.num_entries_for(n_bytes, list(columns))))


def _member(arrays: Any, name: str) -> Any:
    if name in arrays.fields:
        return arrays[name]
    # An RNTuple gives records; "sp.x" is the field x of sp.
    for field in name.split("."):
        arrays = arrays[field]
    return arrays


def _flat(array: Any) -> Lists:
    counts = np.asarray(ak.to_numpy(ak.num(array, axis=1)), dtype=np.int64)
    return Lists(np.asarray(ak.to_numpy(ak.flatten(array, axis=1))), counts)


@contextmanager
def damage_named(path: Location, part: str) -> Iterator[None]:
    """Name the file where uproot finds it damaged.

    Raises
    ------
    UnreadableFileError
        With what uproot says, in one line.
    """
    try:
        yield
    except (DataError, ImportError):
        raise
    # What uproot and the decompressors raise on damaged bytes is open-ended: their
    # own errors, ValueError, IndexError, struct.error, AssertionError, ...
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise UnreadableFileError(
            path,
            f"damaged ROOT file: cannot read {part} "
            f"({type(error).__name__}: {lines[0] if lines else 'no details'})",
        ) from error
