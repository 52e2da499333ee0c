"""Tables of events, collected into blocks so that a file is appended to per block."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeAlias, get_args

import awkward as ak
import numpy as np
import uproot
from numpy.typing import ArrayLike, DTypeLike, NDArray

from producers.writers.whole_file import OpenOutput, whole_file
from sonic_base.errors import ConfigError, nearest_names

__all__ = ["COMPRESSION", "EventTable", "RootForm", "RootWriter", "TableSpec"]

RootForm: TypeAlias = Literal["ttree", "rntuple"]

# Any: columns of several element types.
Column: TypeAlias = NDArray[Any]

COMPRESSION = uproot.ZSTD(1)
"""As fast as uproot's default, and a third smaller."""

VALUES_PER_BLOCK = 2**20  # some MB are held back at most
EVENTS_PER_BLOCK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table with one row per event: its number, and lists.

    Attributes
    ----------
    name : str
        Name of the TTree or RNTuple.
    columns : mapping of str to dtype
        The lists, each with the type of its elements. The column ``event``
        (int64) is always there.
    record : str
        Prefix of the columns, which become one list of records in an RNTuple:
        ``sp_x`` of a TTree is ``sp.x`` of an RNTuple.
    """

    name: str
    columns: Mapping[str, DTypeLike]
    record: str = ""

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


class EventTable:
    """A table of a file that is being written; takes one event at a time.

    Parameters
    ----------
    output : OpenOutput
    spec : TableSpec
    form : {"ttree", "rntuple"}
    """

    def __init__(self, output: OpenOutput, spec: TableSpec, form: RootForm) -> None:
        self._output, self._spec, self._form = output, spec, form
        make = output.file.mktree if form == "ttree" else output.file.mkrntuple
        with output.errors():
            self._tree = make(spec.name, spec.uproot_types(form))
        self._clear()

    def _clear(self) -> None:
        self._events: list[int] = []
        self._lists: dict[str, list[Column]] = {k: [] for k in self._spec.columns}
        self._n_values = 0

    def append(self, event_id: int, lists: Mapping[str, ArrayLike]) -> None:
        """Add one event; it is written with the block that it completes.

        Parameters
        ----------
        event_id : int
        lists : mapping of str to ndarray
            All columns of the table. Not copied: leave them unchanged until the
            file is closed.

        Raises
        ------
        ValueError
            If a value could not be kept in the type of its column.
        OutputError
            If the block cannot be written.
        """
        row = {name: self._checked(name, lists[name]) for name in self._spec.columns}
        self._events.append(event_id)
        for name, values in row.items():
            self._lists[name].append(values)
            self._n_values += values.size
        if self._n_values >= VALUES_PER_BLOCK or len(self._events) >= EVENTS_PER_BLOCK:
            self.flush()

    def _checked(self, name: str, values: ArrayLike) -> Column:
        array, wanted = np.asarray(values), np.dtype(self._spec.columns[name])
        # "same_kind" lets float64 become float32 and int64 int32, and keeps
        # particle ids (uint64) from passing through floating point or a sign.
        if not np.can_cast(array.dtype, wanted, casting="same_kind"):
            raise ValueError(
                f"column {name!r} of {self._spec.name!r} holds {wanted.name}, "
                f"got {array.dtype.name}"
            )
        return array.astype(wanted, copy=False)

    def flush(self) -> None:
        """Write what is held back.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if not self._events:
            return
        lists = {name: _jagged(arrays) for name, arrays in self._lists.items()}
        if self._form == "rntuple":
            members = {self._spec.member(name): array for name, array in lists.items()}
            lists = {self._spec.record: ak.zip(members)}
        block = {"event": np.array(self._events, dtype=np.int64)} | lists
        with self._output.errors():
            self._tree.extend(block)
        self._clear()


# Any: awkward has no type information.
def _jagged(arrays: list[Column]) -> Any:
    counts = np.array([len(array) for array in arrays], dtype=np.int64)
    return ak.unflatten(np.concatenate(arrays), counts)


class RootWriter:
    """Base of the writers: a context that leaves a complete file or none.

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

    def __init__(
        self, path: Path | str, *, form: RootForm = "ttree", force: bool = False
    ) -> None:
        if form not in get_args(RootForm):
            raise ConfigError(
                f"unknown form {form!r}, {nearest_names(form, get_args(RootForm))}"
            )
        self.path = Path(path)
        self._form, self._force = form, force
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            output = stack.enter_context(whole_file(self.path, force=self._force))
            self._output = output
            self._tables = {
                spec.name: EventTable(output, spec, self._form) for spec in self.specs
            }
            stack.push(self._finish_unless_failed)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def _finish_unless_failed(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()

    def finish(self) -> None:
        """Write what is held back; called once, when the block has succeeded."""
        for table in self._tables.values():
            table.flush()
