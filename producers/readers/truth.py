"""The truth of simulated events, out of files of any format that has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from producers.model.iteration import iterating
from producers.model.truth import Particles, TruthEvent
from producers.readers.content import FileContent
from producers.readers.location import PathLike, locations
from producers.readers.prefetch import prefetched
from producers.readers.truth_formats import choose_truth_format

__all__ = ["Particles", "TruthEvent", "TruthEvents"]


class TruthEvents:
    """Iterable over the events of truth files, in order; can be iterated again.

    Parameters
    ----------
    paths : path, or sequence of path
        Files of truth; or files of events whose format has the truth in the same
        file (GNN4ITk, EDM4hep, ColliderML) or in those beside it (TrackML, ACTS).
    format : str, optional
        Name of the format, instead of the one that the content shows.

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If a file is not there, or has no truth.
    UnequalEventsError
        If the parts of a file are of different events.
    """

    def __init__(
        self, paths: PathLike | Sequence[PathLike], *, format: str | None = None
    ) -> None:
        self.paths = locations(paths)
        contents = map(FileContent, self.paths)
        self._files = [
            choose_truth_format(content, format).open(content) for content in contents
        ]

    def __len__(self) -> int:
        return sum(file.n_events for file in self._files)

    def __iter__(self) -> Iterator[TruthEvent]:
        with iterating(prefetched(self._blocks())) as blocks:
            for block in blocks:
                yield from block

    def _blocks(self) -> Iterator[list[TruthEvent]]:
        for file in self._files:
            yield from file.blocks()
