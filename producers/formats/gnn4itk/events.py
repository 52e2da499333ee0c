"""Space points of the ATLAS dump for GNN4ITk: C arrays with counters."""

from __future__ import annotations

from producers.formats.base import EventFormat, ReadOptions
from producers.formats.jagged.events import open_lists
from producers.io.content import FileContent
from producers.model.schema import ColumnMapping

# athena, InnerDetector/InDetGNNTracking/src/DumpObjects.cxx.
TREE = "GNN4ITk"
CLUSTERS_OF_POINT = ("SPCL1_index", "SPCL2_index")
COLUMNS = ColumnMapping(tree=TREE, event="event_number", x="SPx", y="SPy", z="SPz")


def _recognises(content: FileContent, options: ReadOptions) -> bool:
    wanted = {*COLUMNS.columns, *CLUSTERS_OF_POINT}
    return options.columns is None and wanted <= set(content.root_tables.get(TREE, {}))


EVENTS = EventFormat(
    name="gnn4itk",
    recognises=_recognises,
    open=lambda content, _options: open_lists(content.location, COLUMNS),
)
