"""ROOT files through uproot: their tables as flat lists, errors that name the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from struct import unpack
from typing import NamedTuple

import awkward as ak
import numpy as np
import uproot

from producers.io.location import (
    Location,
    damaged_file_named,
    open_binary,
    remote_errors,
)
from producers.io.rntuple_checksums import require_checksums
from producers.io.root_vectors import (
    members_of,
    require_whole_vectors,
    whole_vectors,
)
from producers.io.tables import Block, Lists
from producers.model.errors import SchemaError, UnreadableFileError
from producers.model.types import AnyArray, Untyped
from sonic_base import nearest_names

MAGIC = b"root"
COLLECTION = 1
"""Structural role of a field with lists (RNTuple binary format, field description)."""

TABLE_CLASSES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


@dataclass(frozen=True, eq=False)
class RootTable:
    """A TTree or RNTuple of an open file.

    Attributes
    ----------
    path : Path or str
    name : str
    tree : uproot.TTree or uproot.RNTuple
    file : RootFile
        The file, whose other tables are named by a path: ``header/number`` is the
        column ``number`` of the table ``header``, entry by entry.

    Notes
    -----
    All methods that read entries raise `UnreadableFileError` if the file is damaged
    there.
    """

    path: Location
    name: str
    tree: Untyped
    file: RootFile

    def __len__(self) -> int:
        with self._damage_named("its header"):
            n_entries = int(self.tree.num_entries)
            if n_entries < 0:
                raise ValueError(f"{n_entries} entries")
            return n_entries

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names that can be read; members of a split branch also without its path."""
        with self._damage_named("its columns"):
            names = list(self.tree.keys())
        short = [name.rpartition("/")[2] for name in names if "/" in name]
        return tuple(dict.fromkeys(names + short))

    @cached_property
    def column_types(self) -> dict[str, str]:
        """C++ types of the columns; ``double[]`` is a list of doubles.

        The members of vectors that are stored whole are listed, too: ``hits.fX``.
        """
        types: dict[str, str] = {}
        with self._damage_named("its columns"):
            for name in list(self.tree.keys()):
                branch = self.tree[name]
                kind = str(branch.typename)
                # An RNTuple gives the type of one element.
                is_inside = is_list(types.get(name.rpartition(".")[0], ""))
                record = getattr(branch, "record", None)
                is_collection = getattr(record, "struct_role", None) == COLLECTION
                if (is_inside or is_collection) and not is_list(kind):
                    kind += "[]"
                types[name] = types[name.rpartition("/")[2]] = kind
                types |= {f"{name}.{k}": v for k, v in members_of(branch).items()}
        return types

    def place(self, name: str) -> Place | None:
        """Return where a column is, in this table or another one; None if nowhere."""
        if name in self._names:
            return Place(self, name)
        key, _, member = name.rpartition(".")
        with self._damage_named(f"the column {key!r}"):
            if key in self._names and member in members_of(self.tree[key]):
                return Place(self, key, member)
        table, _, column = name.rpartition("/")
        while table:
            if table != self.name and table in self.file.table_names:
                return self.file.table(table).place(column)
            table, _, more = table.rpartition("/")
            column = f"{more}/{column}"
        return None

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.columns)

    def require(
        self,
        *,
        lists: Sequence[str] = (),
        numbers: Sequence[str] = (),
        integers: Sequence[str] = (),
    ) -> None:
        """Check that columns exist and what they hold, without reading an entry.

        Parameters
        ----------
        lists : sequence of str
            Columns that must hold one list of numbers per entry.
        numbers, integers : sequence of str
            Columns that must hold one number, or one integer, per entry.

        Raises
        ------
        SchemaError
            If a column is missing, with the nearest names, or holds something else.
        """
        forms = dict.fromkeys(integers, (1, "iu", "an integer per entry"))
        forms |= dict.fromkeys(numbers, (1, "iuf", "a number per entry"))
        forms |= dict.fromkeys(lists, (2, "iuf", "a list of numbers per entry"))
        self._require_columns(list(forms))
        self._require_equal_length(list(forms))
        # An empty range gives the types. It lies at the end, because uproot reads the
        # first basket for the range 0 to 0.
        with self._reading(list(forms), len(self), len(self)) as arrays:
            for name, (ndim, kinds, expected) in forms.items():
                array = arrays[name]
                holds = str(array.type.content)
                is_plain = not array.fields and array.ndim == ndim and "?" not in holds
                if is_plain:
                    flat = ak.to_numpy(ak.flatten(array, None))
                    is_plain = flat.dtype.kind in kinds
                if not is_plain:
                    raise SchemaError(
                        self.path,
                        f"column {name!r} of {self.name!r}: expected {expected}, "
                        f"got {holds}",
                    )

    def holds_numbers(self, columns: Sequence[str]) -> bool:
        """Whether columns have one value per entry, not lists; reads no entry."""
        arrays = self._arrays(columns, len(self), len(self))
        return all(array.ndim == 1 for array in arrays.values())

    def _require_columns(self, names: Sequence[str]) -> None:
        for name in names:
            if self.place(name) is None:
                raise SchemaError(
                    self.path,
                    f"no column {name!r} in {self.name!r}, "
                    f"{nearest_names(name, self.column_types)}",
                )

    def _require_equal_length(self, names: Sequence[str]) -> None:
        for place in filter(None, map(self.place, names)):
            if len(place.table) != len(self):
                raise SchemaError(
                    self.path,
                    f"{len(self)} entries in {self.name!r}, {len(place.table)} in "
                    f"{place.table.name!r}: columns of two trees are read entry by "
                    "entry, so they must have as many",
                )

    def entries_in(self, n_bytes: int, columns: Sequence[str]) -> int:
        """Return how many entries of the columns take about `n_bytes`; at least one."""
        places = [place for name in columns if (place := self.place(name))]
        own = list(dict.fromkeys(p.key for p in places if p.table is self))
        with self._damage_named("its baskets"):
            return max(1, int(self.tree.num_entries_for(n_bytes, own)))

    def scalars(self, name: str, start: int, stop: int) -> AnyArray:
        """Read one number per entry, from `start` to before `stop`."""
        return self.rows([name], start, stop)[name]

    def rows(
        self, columns: Sequence[str], start: int, stop: int
    ) -> dict[str, AnyArray]:
        """Read columns of one number per entry, by name."""
        with self._reading(columns, start, stop) as arrays:
            return {name: np.asarray(ak.to_numpy(arrays[name])) for name in columns}

    def lists(self, columns: Sequence[str], start: int, stop: int) -> list[Lists]:
        """Read columns of one list per entry, in the order of `columns`."""
        with self._reading(columns, start, stop) as arrays:
            return [_flat(arrays[name]) for name in columns]

    def blocks(
        self,
        lists: Sequence[str],
        scalars: Sequence[str],
        *,
        start: int,
        stop: int,
        step: int,
    ) -> Iterator[Block]:
        """Read the entries from `start` to before `stop`, at most `step` at a time."""
        for first in range(start, stop, step):
            yield self._block(lists, scalars, first, min(first + step, stop))

    def _block(
        self, lists: Sequence[str], scalars: Sequence[str], start: int, stop: int
    ) -> Block:
        columns = dict(zip(lists, self.lists(lists, start, stop), strict=True))
        return Block(start, columns, self.rows(scalars, start, stop) if scalars else {})

    def per_entry(
        self, columns: Sequence[str], start: int, stop: int
    ) -> list[dict[str, AnyArray]]:
        """Read columns of one list per entry: for each entry, its lists by name."""
        lists = self.lists(columns, start, stop)
        by_column = [column.by_entry() for column in lists]
        return [
            dict(zip(columns, entry, strict=True))
            for entry in zip(*by_column, strict=True)
        ]

    def nested(
        self, columns: Sequence[str], start: int, stop: int
    ) -> dict[str, list[list[AnyArray]]]:
        """Read columns of lists of lists: an array per inner list, by name."""
        found = {}
        with self._reading(columns, start, stop) as arrays:
            for name in columns:
                entries = arrays[name]
                inner = iter(_flat(ak.flatten(entries, axis=1)).by_entry())
                found[name] = [
                    [next(inner) for _ in range(n)] for n in ak.num(entries, axis=1)
                ]
        return found

    def texts(self, name: str) -> list[str]:
        """Read the list of texts of the first entry.

        Raises
        ------
        SchemaError
            If there is no such column, with the nearest names.
        """
        self._require_columns([name])
        with self._reading([name], 0, 1) as arrays:
            texts: list[str] = arrays[name][0].to_list()
        return texts

    @contextmanager
    def _reading(
        self, columns: Sequence[str], start: int, stop: int
    ) -> Iterator[dict[str, Untyped]]:
        """Give the columns, for a block that converts them.

        Arrays of damaged bytes may contradict themselves, which is only found when
        they are converted.
        """
        with self._damage_named(f"entries {start} to {stop}"):
            arrays = self._arrays(columns, start, stop)
            for array in arrays.values():
                # uproot gives what is there, whatever number the header claims.
                if len(array) != stop - start:
                    raise ValueError(f"{len(array)} entries are there")
            yield arrays

    def _arrays(
        self, columns: Sequence[str], start: int, stop: int
    ) -> dict[str, Untyped]:
        places = {name: self.place(name) or Place(self, name) for name in columns}
        tables = {place.table.name: place.table for place in places.values()}
        read = {}
        for name, table in tables.items():
            keys = [p.key for p in places.values() if p.table.name == name]
            read[name] = table._read(list(dict.fromkeys(keys)), start, stop)
        return {
            name: array if p.member is None else array[p.member]
            for name, p in places.items()
            for array in (read[p.table.name][p.key],)
        }

    def _read(self, keys: list[str], start: int, stop: int) -> dict[str, Untyped]:
        whole = {key: kind for key in keys if (kind := whole_vectors(self.tree[key]))}
        split = [key for key in keys if key not in whole]
        limits = {"entry_start": start, "entry_stop": stop, "library": "ak"}
        found: dict[str, Untyped] = {}
        if split:
            arrays = self.tree.arrays(split, **limits)
            found = {key: _column(arrays, key) for key in split}
        for key, kind in whole.items():
            array = self.tree[key].array(kind, **limits)
            require_whole_vectors(self.path, key, array)
            found[key] = array
        return found

    @contextmanager
    def _damage_named(self, part: str) -> Iterator[None]:
        with damaged_file_named(self.path, "ROOT", f"{self.name!r}, {part}"):
            yield


def is_list(kind: str) -> bool:
    """Whether a type, of C++ or of parquet, is that of a column of lists."""
    return any(word in kind for word in ("[", "vector", "RVec", "list<"))


class Place(NamedTuple):
    """Where a column is.

    Attributes
    ----------
    table : RootTable
    key : str
        What uproot reads.
    member : str, optional
        The member, in vectors that are stored whole.
    """

    table: RootTable
    key: str
    member: str | None = None


def _column(arrays: Untyped, name: str) -> Untyped:
    if name in arrays.fields:
        return arrays[name]
    # An RNTuple gives records; "sp.x" is the field x of sp.
    for field in name.split("."):
        arrays = arrays[field]
    return arrays


def _flat(array: Untyped) -> Lists:
    counts = np.asarray(ak.to_numpy(ak.num(array, axis=1)), dtype=np.int64)
    values = np.asarray(ak.to_numpy(ak.flatten(array, axis=1)))
    if (counts < 0).any() or counts.sum() != len(values):
        raise ValueError("the lengths of its lists are wrong")
    return Lists(values, counts)


@dataclass(frozen=True, slots=True, eq=False)
class RootFile:
    """An open ROOT file.

    Attributes
    ----------
    path : Path or str
    file : uproot.ReadOnlyDirectory
    """

    path: Location
    file: Untyped
    _checked: set[str] = dataclasses.field(default_factory=set)

    @property
    def table_names(self) -> list[str]:
        """Names of the TTrees and RNTuples, in the order of the file."""
        with damaged_file_named(self.path, "ROOT", "its directory"):
            classes = self.file.classnames(cycle=False)
        return [name for name, kind in classes.items() if kind in TABLE_CLASSES]

    def table(self, name: str) -> RootTable:
        """Return the TTree or RNTuple of this name; its latest cycle.

        Raises
        ------
        SchemaError
            If there is none, with the nearest names.
        UnreadableFileError
            If its header is damaged.
        """
        if name not in self.table_names:
            raise SchemaError(
                self.path,
                f"no TTree or RNTuple {name!r}, "
                f"{nearest_names(name, self.table_names) or 'it has none at all'}",
            )
        with damaged_file_named(self.path, "ROOT", repr(name)):
            tree = self.file[name]
            if name not in self._checked and hasattr(type(tree), "page_link_list"):
                require_checksums(tree)
                self._checked.add(name)
            return RootTable(self.path, name, tree, self)

    def text(self, name: str) -> str | None:
        """Return the text stored under a name (TObjString), or None."""
        with damaged_file_named(self.path, "ROOT", repr(name)):
            if name not in self.file.keys(cycle=False):
                return None
            return str(self.file[name])


@contextmanager
def open_root(path: Location) -> Iterator[RootFile]:
    """Open a ROOT file for reading; it is closed at the end of the block.

    Parameters
    ----------
    path : Path or str
        Local file, or a URL that uproot takes.

    Raises
    ------
    UnreadableFileError
        If it is not a ROOT file, truncated or damaged.
    ConfigError
        If a package for the URL's protocol is not installed.
    """
    _require_whole(path)
    with remote_errors(path), damaged_file_named(path, "ROOT", "its directory"):
        file = uproot.open({str(path): None}, handler=_handler(path))
    with file:
        yield RootFile(path, file)


def _handler(path: Location) -> type | None:
    # By default uproot opens all files by fsspec, which takes "::" in the name of a
    # local file for a chain of URLs. In a dict, it cuts no ":tree" off a name.
    is_local = isinstance(path, Path)
    return uproot.source.file.MultithreadedFileSource if is_local else None


def _require_whole(path: Location) -> None:
    # Checked before uproot, which reads lazily: a truncated file would be found in
    # the middle of a job. Layout of the header: class reference of TFile in ROOT.
    with open_binary(path) as file:
        header = file.read(20)
        # The size of a remote file may be unknown.
        size = file.seek(0, 2) if isinstance(path, Path) else None
    if not header.startswith(MAGIC):
        raise UnreadableFileError(path, "not a ROOT file")
    if len(header) < 20:
        raise UnreadableFileError(path, f"truncated ROOT file of {size} bytes")
    # Files above 2 GB have a version from 1000000 on, and 8 bytes for the end.
    (version,) = unpack(">i", header[4:8])
    is_large = version >= 1_000_000
    (end,) = unpack(">q", header[12:20]) if is_large else unpack(">i", header[12:16])
    if size is not None and end > size:
        raise UnreadableFileError(
            path, f"truncated ROOT file: {size} bytes of {end} are there"
        )
