"""Tables of ROOT and parquet files: columns of lists and of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.model.types import AnyArray


class Lists(NamedTuple):
    """A column with one list per entry, flat."""

    values: AnyArray  #: all elements, in order
    counts: NDArray[np.int64]  #: length of each entry's list

    def by_entry(self) -> list[AnyArray]:
        """Return one array per entry; views."""
        return np.split(self.values, np.cumsum(self.counts)[:-1])


class Block(NamedTuple):
    """Some entries of a table."""

    first: int  #: position of the first entry
    lists: dict[str, Lists]  #: columns of lists, by name
    scalars: dict[str, AnyArray]  #: columns of one number per entry, by name


class Table(Protocol):
    """A TTree, an RNTuple or a parquet file."""

    @property
    def column_types(self) -> Mapping[str, str]:
        """Types of the columns, by the names that can be read."""

    def __len__(self) -> int:
        """Return the number of entries."""

    def require(self, *, lists: Sequence[str], integers: Sequence[str]) -> None:
        """Check that columns exist and hold lists of numbers, or integers, per entry.

        Raises
        ------
        SchemaError
            If a column is missing, with the nearest names, or holds something else.
        """

    def entries_in(self, n_bytes: int, columns: Sequence[str]) -> int:
        """Return how many entries of the columns take about `n_bytes`; at least one."""

    def blocks(
        self,
        lists: Sequence[str],
        scalars: Sequence[str],
        *,
        start: int,
        stop: int,
        step: int,
    ) -> Iterator[Block]:
        """Read the entries from `start` to before `stop`, at most `step` at a time.

        Raises
        ------
        UnreadableFileError
            If the file is damaged there.
        """
