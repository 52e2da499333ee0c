"""What is in a file, as far as is needed to choose its reader; read once."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Literal, TypeAlias

from producers.readers.location import Location, open_binary
from producers.readers.parquet_file import parquet_columns
from producers.readers.root_file import open_root

__all__ = ["Container", "FileContent"]

Container: TypeAlias = Literal["root", "parquet", "npz", "npy", "text", "unknown"]

HEAD_BYTES = 4096
GZIP = b"\x1f\x8b"
MAGICS: dict[bytes, Container] = {
    b"root": "root",
    b"PAR1": "parquet",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",  # an archive of no arrays
    b"\x93NUMPY": "npy",
}


class FileContent:
    """A file, looked into as far as a question needs; each look is taken once.

    Parameters
    ----------
    location : Path or str
    """

    def __init__(self, location: Location) -> None:
        self.location = location

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked if the file is a gzip archive.

        Raises
        ------
        UnreadableFileError
            If it cannot be read.
        """
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
        """The first line of a text; empty for another kind of file."""
        if self.container != "text":
            return ""
        return self.head.partition(b"\n")[0].decode("utf-8", errors="replace").strip()

    @cached_property
    def csv_columns(self) -> tuple[str, ...]:
        """Names in the first line of a text, between commas."""
        return tuple(name.strip() for name in self.first_line.split(","))

    @cached_property
    def root_tables(self) -> Mapping[str, Mapping[str, str]]:
        """Columns of each TTree and RNTuple with their type names; none elsewhere.

        Raises
        ------
        UnreadableFileError
            If the file is truncated or damaged.
        """
        if self.container != "root":
            return {}
        with open_root(self.location) as file:
            return {name: file.table(name).column_types for name in file.table_names}

    @cached_property
    def parquet_columns(self) -> Mapping[str, str]:
        """Columns of a parquet file with their types; none elsewhere.

        Raises
        ------
        UnreadableFileError
            If it is truncated or damaged.
        ConfigError
            If pyarrow is not installed.
        """
        if self.container != "parquet":
            return {}
        return parquet_columns(self.location)
