"""ROOT files through uproot: whole, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import unpack
from typing import Any

import uproot

from producers.model.errors import SchemaError, UnreadableFileError
from producers.readers.location import Location, open_binary, remote_errors
from producers.readers.root_table import RootTable, damage_named
from sonic_base.errors import nearest_names

__all__ = ["RootFile", "open_root"]

MAGIC = b"root"
TABLE_CLASSES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


@dataclass(frozen=True, slots=True, eq=False)
class RootFile:
    """An open ROOT file.

    Attributes
    ----------
    path : Path or str
    file : uproot.ReadOnlyDirectory
    """

    path: Location
    file: Any  # uproot has no type information

    @property
    def table_names(self) -> list[str]:
        """Names of the TTrees and RNTuples, in the order of the file."""
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
        with damage_named(self.path, repr(name)):
            return RootTable(self.path, name, self.file[name])

    def text(self, name: str) -> str | None:
        """Return the text stored under a name (TObjString), or None."""
        if name not in self.file.keys(cycle=False):
            return None
        with damage_named(self.path, repr(name)):
            return str(self.file[name])


@contextmanager
def open_root(path: Location) -> Iterator[RootFile]:
    """Open a ROOT file for reading; closed at the end of the block.

    Parameters
    ----------
    path : Path or str
        Local file, or a URL that uproot takes.

    Raises
    ------
    UnreadableFileError
        If it is of another kind, truncated or damaged.
    ConfigError
        If a package for the URL's protocol is not installed.
    """
    _require_whole(path)
    with remote_errors(path), damage_named(path, "its directory"):
        file = uproot.open(path)
    with file:
        yield RootFile(path, file)


def _require_whole(path: Location) -> None:
    # Checked before uproot, which reads lazily: a truncated file would be found in
    # the middle of a job. Layout of the header: class reference of TFile in ROOT.
    with open_binary(path) as file:
        header = file.read(20)
        # Of a remote file the size may be unknown.
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
