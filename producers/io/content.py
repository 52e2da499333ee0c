"""The content of a file, as far as it is needed to recognise its format."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, TypeAlias

from producers.io.location import Location, open_binary
from producers.io.parquet import open_parquet
from producers.io.root import open_root

Container: TypeAlias = Literal["root", "parquet", "npz", "npy", "text", "unknown"]

HEAD_BYTES = 4096
GZIP = b"\x1f\x8b"
MAGICS: dict[bytes, Container] = {
    b"root": "root",
    b"PAR1": "parquet",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",  # an archive without arrays
    b"\x93NUMPY": "npy",
}


class FileContent:
    """A file, opened only as far as a question needs; each answer is kept.

    Parameters
    ----------
    location : Path or str

    Notes
    -----
    All properties raise `UnreadableFileError` if the file is truncated or damaged.
    """

    def __init__(self, location: Location) -> None:
        self.location = location

    @cached_property
    def head(self) -> bytes:
        """The first bytes, decompressed if the file is a gzip archive."""
        with open_binary(self.location) as file:
            start: bytes = file.read(HEAD_BYTES)
        if not start.startswith(GZIP):
            return start
        try:
            return zlib.decompressobj(wbits=31).decompress(start, HEAD_BYTES)
        except zlib.error:
            return b""

    @cached_property
    def container(self) -> Container:
        """The kind of file, by its first bytes."""
        for magic, container in MAGICS.items():
            if self.head.startswith(magic):
                return container
        is_text = all(byte >= 32 or byte in b"\t\r\n" for byte in self.head)
        return "text" if is_text else "unknown"

    @cached_property
    def first_line(self) -> str:
        """The first line of a text file; empty for another kind of file."""
        if self.container != "text":
            return ""
        return self.head.partition(b"\n")[0].decode("utf-8", errors="replace").strip()

    @cached_property
    def csv_columns(self) -> frozenset[str]:
        """The names in the first line of a text file."""
        return frozenset(name.strip() for name in self.first_line.split(","))

    @cached_property
    def root_tables(self) -> Mapping[str, Mapping[str, str]]:
        """Columns of each TTree and RNTuple, with their types; empty if not ROOT."""
        if self.container != "root":
            return {}
        with open_root(self.location) as file:
            return {name: file.table(name).column_types for name in file.table_names}

    @cached_property
    def root_entries(self) -> Mapping[str, int]:
        """Number of entries of each TTree and RNTuple; empty if not ROOT."""
        if self.container != "root":
            return {}
        with open_root(self.location) as file:
            return {name: len(file.table(name)) for name in file.table_names}

    @cached_property
    def parquet_columns(self) -> Mapping[str, str]:
        """Columns of a parquet file, with their types; empty if not parquet.

        Raises
        ------
        ConfigError
            If pyarrow is not installed.
        """
        if self.container != "parquet":
            return {}
        with open_parquet(self.location) as table:
            return table.column_types
