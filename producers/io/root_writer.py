"""ROOT files with tables of events, written in blocks; complete, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self, TypeAlias, get_args

import awkward as ak
import numpy as np
import uproot
from numpy.typing import DTypeLike

from producers.io.output import close_quietly, output_errors, whole_file
from producers.model.types import AnyArray, Untyped
from sonic_base import ConfigError, nearest_names

RootForm: TypeAlias = Literal["ttree", "rntuple"]

COMPRESSION = uproot.ZSTD(1)
"""As fast as uproot's default, and a third smaller."""

VALUES_PER_BLOCK = 2**20  # so that at most some MB are held back
EVENTS_PER_BLOCK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table with one row per event: the number of the event, and lists.

    Attributes
    ----------
    name : str
        Name of the TTree or RNTuple.
    columns : mapping of str to dtype
        The lists, each with the type of its elements. The column ``event``
        (int64) is always added.
    record : str
        Prefix of the columns, which become one list of records in an RNTuple:
        ``sp_x`` of a TTree is ``sp.x`` of an RNTuple.
    """

    name: str
    columns: Mapping[str, DTypeLike]
    record: str

    def uproot_types(self, form: RootForm) -> dict[str, str]:
        """Return the columns as uproot declares them."""
        names = {name: np.dtype(kind).name for name, kind in self.columns.items()}
        if form == "ttree":
            return {"event": "int64"} | {k: f"var * {v}" for k, v in names.items()}
        members = ", ".join(f"{self.member(k)}: {v}" for k, v in names.items())
        return {"event": "int64", self.record: f"var * {{{members}}}"}

    def member(self, column: str) -> str:
        """Return the name of a column within the record."""
        return column.removeprefix(f"{self.record}_")

    def checked(self, name: str, values: AnyArray) -> AnyArray:
        """Return the values in the type of a column; ValueError if they do not fit."""
        wanted = np.dtype(self.columns[name])
        # "same_kind" lets float64 become float32 and int64 int32, and keeps
        # particle ids (uint64) from passing through floating point or a sign.
        if not np.can_cast(values.dtype, wanted, casting="same_kind"):
            raise ValueError(
                f"column {name!r} of {self.name!r} holds {wanted.name}, "
                f"got {values.dtype.name}"
            )
        return values.astype(wanted, copy=False)


class _Table:
    """A table that is being written; it collects events into blocks."""

    def __init__(self, file: Untyped, spec: TableSpec, form: RootForm) -> None:
        self._spec, self._form = spec, form
        make = file.mktree if form == "ttree" else file.mkrntuple
        self._tree = make(spec.name, spec.uproot_types(form))
        self._clear()

    def _clear(self) -> None:
        self._events: list[int] = []
        self._lists: dict[str, list[AnyArray]] = {k: [] for k in self._spec.columns}
        self._n_values = 0

    def append(self, event_id: int, lists: Mapping[str, AnyArray]) -> None:
        self._events.append(event_id)
        for name, values in lists.items():
            self._lists[name].append(values)
            self._n_values += values.size
        if self._n_values >= VALUES_PER_BLOCK or len(self._events) >= EVENTS_PER_BLOCK:
            self.flush()

    def flush(self) -> None:
        if not self._events:
            return
        lists = {name: _jagged(arrays) for name, arrays in self._lists.items()}
        if self._form == "rntuple":
            members = {self._spec.member(name): array for name, array in lists.items()}
            lists = {self._spec.record: ak.zip(members)}
        self._tree.extend({"event": np.array(self._events, dtype=np.int64)} | lists)
        self._clear()


def _jagged(arrays: list[AnyArray]) -> Untyped:
    counts = np.array([len(array) for array in arrays], dtype=np.int64)
    return ak.unflatten(np.concatenate(arrays), counts)


class RootWriter:
    """Base of writers: a context manager that leaves a complete file or none.

    Parameters
    ----------
    path : path
    form : {"ttree", "rntuple"}
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ConfigError
        If `form` is another.
    OutputExistsError, OutputError
        On entering, if the file must not or cannot be written.
    """

    specs: ClassVar[tuple[TableSpec, ...]]
    """The tables of the file."""

    def __init__(
        self, path: Path | str, *, form: RootForm = "ttree", force: bool = False
    ) -> None:
        if form not in get_args(RootForm):
            raise ConfigError(
                f"unknown form {form!r}, {nearest_names(form, get_args(RootForm))}"
            )
        self.path = Path(path)
        self._form, self._force = form, force

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            unfinished = stack.enter_context(whole_file(self.path, force=self._force))
            with output_errors(self.path):
                # Opened here, because uproot takes "::" in a name for a chain of URLs.
                self._raw = unfinished.open("w+b")
                stack.callback(close_quietly, self._raw)
                self._file = uproot.recreate(self._raw)
                self._tables = {
                    spec.name: _Table(self._file, spec, self._form)
                    for spec in self.specs
                }
            stack.push(self._finish_unless_failed)
            self._stack = stack.pop_all()
        return self

    def _append(
        self, event_id: int, tables: Mapping[str, Mapping[str, AnyArray]]
    ) -> None:
        """Add one event to all tables; its arrays are not copied.

        Raises
        ------
        ValueError
            If the columns of a table have different lengths, or a value would not
            fit the type of its column. No table has the event then.
        OutputError
            If the file cannot be written.
        """
        rows = {}
        for spec in self.specs:
            columns = {
                name: np.asarray(tables[spec.name][name]) for name in spec.columns
            }
            lengths = {name: len(column) for name, column in columns.items()}
            if len(set(lengths.values())) > 1:
                listed = ", ".join(f"{name} {n}" for name, n in lengths.items())
                raise ValueError(
                    f"event {event_id}: columns of unequal length: {listed}"
                )
            rows[spec.name] = {k: spec.checked(k, v) for k, v in columns.items()}
        with output_errors(self.path):
            for name, row in rows.items():
                self._tables[name].append(event_id, row)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def finish(self) -> None:
        """Write what is held back and close the file; nothing can be added after it.

        The end of the block does it, too, and then gives the file its name. Called
        before it on each of several files, either all of them appear or none.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        if self._raw.closed:
            return
        with output_errors(self.path):
            for table in self._tables.values():
                table.flush()
            self._file.close()

    def _finish_unless_failed(
        self, kind: type[BaseException] | None, *_raised: object
    ) -> None:
        if kind is None:
            self.finish()
