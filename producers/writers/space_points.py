"""Space points into a ROOT file, in the columns that the reader recognises."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from producers.writers.table import RootWriter, TableSpec

__all__ = ["MeasuredEvent", "SpacePointWriter"]

SPACE_POINTS = TableSpec(
    name="events",
    columns={
        "sp_x": np.float32,
        "sp_y": np.float32,
        "sp_z": np.float32,
        "sp_volume_id": np.int32,
        "sp_layer_id": np.int32,
        "sp_module_id": np.int32,
    },
    record="sp",
)


class MeasuredEvent(Protocol):
    """What a detector says of one event; arrays of one length, which may be zero."""

    @property
    def event_id(self) -> int:
        """Number of the event in its sample."""

    @property
    def xyz(self) -> NDArray[np.floating]:
        """Positions, shape (n_space_points, 3), in mm, beam along z."""

    # Any: integers of any width.
    @property
    def volume_id(self) -> NDArray[Any]:
        """Detector volume of each space point."""

    @property
    def layer_id(self) -> NDArray[Any]:
        """Layer in the volume."""

    @property
    def module_id(self) -> NDArray[Any]:
        """Module on the layer."""


class SpacePointWriter(RootWriter):
    """Writes a file of space points; complete, or not at all.

    The table ``events`` has one entry per event: ``event`` (int64), and lists
    ``sp_x, sp_y, sp_z`` (float32, mm) and ``sp_volume_id, sp_layer_id,
    sp_module_id`` (int32). As an RNTuple, ``sp`` is a list of records ``x, y, z,
    volume_id, ...``.

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

    specs: ClassVar = (SPACE_POINTS,)

    def write(self, event: MeasuredEvent) -> None:
        """Add one event. Its arrays are not copied: leave them unchanged.

        Raises
        ------
        ValueError
            If its arrays are of different lengths or of the wrong kind.
        OutputError
            If the file cannot be written.
        """
        x, y, z = event.xyz.T
        columns = {
            "sp_x": x,
            "sp_y": y,
            "sp_z": z,
            "sp_volume_id": event.volume_id,
            "sp_layer_id": event.layer_id,
            "sp_module_id": event.module_id,
        }
        require_one_length(event.event_id, columns)
        self._tables["events"].append(event.event_id, columns)


def require_one_length(event_id: int, columns: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError, with the lengths, unless all columns have the same."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"event {event_id}: columns of unequal length: {listed}")
