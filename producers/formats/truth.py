"""The truth of simulated events, from files of any format that has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from producers.io.content import FileContent
from producers.io.iteration import iterating, prefetched
from producers.io.location import PathLike, locations
from producers.model.truth import TruthEvent


class TruthEvents:
    """Iterable over the events of truth files, in order; can be iterated again.

    Parameters
    ----------
    paths : path, or sequence of path
        Files of truth; or files of events whose truth is in the same file (GNN4ITk,
        EDM4hep, ColliderML) or in files beside it (TrackML, ACTS).
    format : str, optional
        The format, instead of recognising it by content; a name in
        `producers.formats.registry.TRUTH_FORMATS`.

    Raises
    ------
    InputNotFoundError, UnreadableFileError, SchemaError
        If a file does not exist, or has no truth.
    UnequalEventsError
        If the parts of a file are of different events.
    """

    def __init__(
        self, paths: PathLike | Sequence[PathLike], *, format: str | None = None
    ) -> None:
        # Imported here for a fast start: it loads the modules of all formats.
        from producers.formats.registry import choose_truth_format  # noqa: PLC0415

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
