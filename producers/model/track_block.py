"""The tracks of neighbouring events in flat columns, as they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from producers.model.candidates import CandidateChunk
from producers.model.chunk import splits_of
from producers.model.errors import EventFailedError
from producers.model.results import ChunkResult
from producers.model.types import AnyArray

__all__ = ["FailureRow", "TrackBlock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """One row of the table ``failures``: an event for which a producer failed.

    Attributes
    ----------
    event, entry : int
        Number of the event, and its position in its file.
    source : str
        The file.
    producer : str
        The producer.
    cause : str
        One line.
    servers : str
        The addresses that were tried, separated by commas.
    """

    event: int
    entry: int
    source: str
    producer: str
    cause: str
    servers: str

    @classmethod
    def of(cls, failure: EventFailedError) -> FailureRow:
        """Return the row of a failure."""
        return cls(
            event=failure.event_id,
            entry=failure.entry,
            source=failure.source,
            producer=failure.producer,
            cause=" ".join(failure.reason.split()),
            servers=",".join(failure.servers),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrackBlock:
    """The tracks of some events.

    Attributes
    ----------
    event_ids : ndarray, shape (n_events,), int64
    is_failed : ndarray, shape (n_events,), bool
        Events without an answer.
    candidates : CandidateChunk
    failures : tuple of FailureRow
    """

    event_ids: NDArray[np.int64]
    is_failed: NDArray[np.bool_]
    candidates: CandidateChunk
    failures: tuple[FailureRow, ...] = ()

    def __len__(self) -> int:
        return len(self.event_ids)

    @property
    def n_values(self) -> int:
        """Number of values that are held, which take eight bytes each."""
        own = self.candidates
        return len(own.labels) + len(own.space_points) + len(own.sizes) + 5 * len(self)

    def without_points_of_failed(self) -> TrackBlock:
        """Return the block with the labels of failed events removed."""
        own = self.candidates
        n_points = np.diff(own.point_splits)
        left = np.where(self.is_failed, 0, n_points)
        emptied = replace(
            own,
            labels=own.labels[np.repeat(~self.is_failed, n_points)],
            point_splits=splits_of(left),
        )
        return replace(self, candidates=emptied)

    @classmethod
    def of(cls, result: ChunkResult) -> TrackBlock:
        """Return the tracks of a chunk, from its first producer that finds candidates.

        Failed events have no labels with the loop's policy ``skip``, and -1 for each
        space point with ``fill``.

        Raises
        ------
        ValueError
            If no producer of the loop finds candidates.
        """
        chunks = [
            each
            for each in result.products.values()
            if isinstance(each, CandidateChunk)
        ]
        if not chunks:
            raise ValueError(
                f"no candidates among the products of {', '.join(result.products)}"
            )
        block = cls(
            event_ids=result.chunk.event_ids,
            is_failed=result.is_failed,
            candidates=chunks[0],
            failures=tuple(map(FailureRow.of, result.failures)),
        )
        if result.failures and result.on_failure == "skip":
            return block.without_points_of_failed()
        return block

    @classmethod
    def joined(cls, blocks: Sequence[TrackBlock]) -> TrackBlock:
        """Return the events of one or more blocks in one block."""
        if len(blocks) == 1:
            return blocks[0]
        parts = [block.candidates for block in blocks]
        return cls(
            event_ids=np.concatenate([block.event_ids for block in blocks]),
            is_failed=np.concatenate([block.is_failed for block in blocks]),
            candidates=CandidateChunk(
                labels=np.concatenate([part.labels for part in parts]),
                point_splits=_joined_splits([part.point_splits for part in parts]),
                sizes=np.concatenate([part.sizes for part in parts]),
                candidate_splits=_joined_splits(
                    [part.candidate_splits for part in parts]
                ),
                space_points=np.concatenate([part.space_points for part in parts]),
            ),
            failures=tuple(row for block in blocks for row in block.failures),
        )

    def to_arrays(self) -> dict[str, AnyArray]:
        """Return the columns by name, for a .npz without pickle.

        Numbers within an event are int32, half of their size in memory.
        """
        own = self.candidates
        return {
            "event": self.event_ids,
            "is_failed": self.is_failed,
            "sp_label": own.labels.astype(np.int32),
            "point_splits": own.point_splits,
            "n_space_points": own.sizes.astype(np.int32),
            "candidate_splits": own.candidate_splits,
            "sp_index": own.space_points.astype(np.int32),
            "failures": np.array(json.dumps([asdict(row) for row in self.failures])),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> TrackBlock:
        """Return the block that `to_arrays` gave.

        Raises
        ------
        KeyError, ValueError, TypeError
            If an array is missing or has been changed.
        """
        rows = json.loads(str(arrays["failures"]))
        return cls(
            event_ids=arrays["event"],
            is_failed=arrays["is_failed"],
            candidates=CandidateChunk(
                labels=arrays["sp_label"].astype(np.int64),
                point_splits=arrays["point_splits"],
                sizes=arrays["n_space_points"].astype(np.int64),
                candidate_splits=arrays["candidate_splits"],
                space_points=arrays["sp_index"].astype(np.int64),
            ),
            failures=tuple(FailureRow(**row) for row in rows),
        )


def _joined_splits(splits: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return splits_of(np.concatenate([np.diff(each) for each in splits]))
