"""The file of a tracking job, read back; complete, or what was finished of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from producers.formats.base import ReadableTracks
from producers.io.content import FileContent
from producers.io.iteration import iterating, prefetched
from producers.io.journal import PartialTracks, is_partial
from producers.io.location import Location, PathLike, locations
from producers.model.candidates import TrackCandidates


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrackEvent:
    """The candidates of one event.

    Attributes
    ----------
    event_id : int
    candidates : TrackCandidates
        Without any label if the event failed and was skipped.
    is_failed : bool
        Whether the event got no answer.
    """

    event_id: int
    candidates: TrackCandidates
    is_failed: bool = False


class TrackEvents:
    """Iterable over the events of a file that `TrackWriter` wrote.

    Reads TTrees, RNTuples and parquet, and the folder ``<output>.partial`` that an
    interrupted job left.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    provenance : dict
        Where the tracks come from; empty for an interrupted job.

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If the file does not exist, or is not a file of tracks.
    UnequalEventsError
        If its two trees have different numbers of entries.
    """

    def __init__(self, path: PathLike) -> None:
        self.path: Location = Path(path) if is_partial(path) else locations(path)[0]
        self._file = _open(self.path)
        self.provenance = self._file.provenance

    def __len__(self) -> int:
        return len(self._file)

    def __iter__(self) -> Iterator[TrackEvent]:
        with iterating(prefetched(self._file.blocks())) as blocks:
            for block in blocks:
                events = zip(
                    block.event_ids, block.candidates, block.is_failed, strict=True
                )
                for event_id, candidates, is_failed in events:
                    yield TrackEvent(
                        event_id=int(event_id),
                        candidates=candidates,
                        is_failed=bool(is_failed),
                    )


def _open(path: Location) -> ReadableTracks:
    # Imported here for a fast start.
    from producers.formats.jagged.tracks import ReadableRootTracks  # noqa: PLC0415
    from producers.formats.parquet.tracks import (  # noqa: PLC0415
        ReadableParquetTracks,
    )

    if is_partial(path):
        return PartialTracks(Path(path))
    if FileContent(path).container == "parquet":
        return ReadableParquetTracks(path)
    return ReadableRootTracks(path)
