"""The ATLAS dump for GNN4ITk: one entry per event, C arrays with counters."""

from __future__ import annotations

from producers.model.schema import ColumnMapping
from producers.readers.content import FileContent
from producers.readers.formats import ReadOptions
from producers.readers.formats.jagged import JaggedFile

__all__ = ["COLUMNS", "FORMAT"]

COLUMNS = ColumnMapping(tree="GNN4ITk", event="event_number", x="SPx", y="SPy", z="SPz")
"""athena, ``InnerDetector/InDetGNNTracking/src/DumpObjects.cxx``."""


class _Gnn4Itk:
    name = "gnn4itk"
    summary = "ATLAS DumpObjects, tree GNN4ITk"

    def recognises(self, content: FileContent, options: ReadOptions) -> bool:
        """Whether a tree has the columns of space points, and the clusters' ids."""
        wanted = {*COLUMNS.columns, "SPCL1_index", "SPCL2_index"}
        tree = content.root_tables.get(str(COLUMNS.tree), {})
        return options.columns is None and wanted <= set(tree)

    def open(self, content: FileContent, _options: ReadOptions) -> JaggedFile:
        """As `JaggedFile.inspect`."""
        return JaggedFile.inspect(content.location, COLUMNS)


FORMAT = _Gnn4Itk()
