"""Track candidates: which space points belong together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.model.components import (
    number_by_first_point,
    outward_order,
    squared_distance,
    within_events,
)

__all__ = ["CandidateChunk", "TrackCandidates"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrackCandidates:
    """The track candidates of one event.

    Attributes
    ----------
    labels : ndarray, shape (n_space_points,), int64
        Candidate of each space point, in the order of the input; -1 where it is on
        none. Candidates are numbered from zero by their first space point.
    row_splits : ndarray, shape (n_candidates + 1,), int64
        Candidate i has ``space_points[row_splits[i]:row_splits[i + 1]]``.
    space_points : ndarray, shape (n_space_points_on_candidates,), int64
        Indices of space points, each candidate's ordered outward: by distance from
        the origin.
    """

    labels: NDArray[np.int64]
    row_splits: NDArray[np.int64]
    space_points: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def __getitem__(self, index: int) -> NDArray[np.int64]:
        """Indices of the space points of one candidate, outward; a view."""
        if not 0 <= index < len(self):
            raise IndexError(f"no candidate {index} among {len(self)}")
        return self.space_points[self.row_splits[index] : self.row_splits[index + 1]]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of space points of each candidate."""
        return np.diff(self.row_splits)

    @classmethod
    def none_among(cls, n_space_points: int) -> TrackCandidates:
        """Return the answer "no candidate" for so many space points."""
        return cls(
            labels=np.full(n_space_points, -1, dtype=np.int64),
            row_splits=np.zeros(1, dtype=np.int64),
            space_points=np.empty(0, dtype=np.int64),
        )

    @classmethod
    def from_components(
        cls,
        components: NDArray[np.integer],
        xyz: NDArray[np.floating],
        *,
        min_space_points: int = 1,
    ) -> TrackCandidates:
        """Return the components that are large enough, as candidates.

        Parameters
        ----------
        components : ndarray, shape (n_space_points,), integer
            Any number per component; negative where a space point is on none.
        xyz : ndarray, shape (n_space_points, 3), floating
            Positions in mm.
        min_space_points : int
            Smaller components are no candidates.

        Raises
        ------
        ValueError
            If there is not one component per space point.
        """
        if components.shape != (len(xyz),):
            raise ValueError(
                f"expected {len(xyz)} components, got shape {components.shape}"
            )
        return CandidateChunk.from_components(
            components,
            xyz,
            np.array([0, len(xyz)], dtype=np.int64),
            min_space_points=min_space_points,
        )[0]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CandidateChunk(Sequence[TrackCandidates]):
    """The candidates of neighbouring events, in flat columns; a sequence of events'.

    Attributes
    ----------
    labels : ndarray, shape (n_space_points,), int64
        As in `TrackCandidates`, event by event.
    point_splits : ndarray, shape (n_events + 1,), int64
        Event i has the labels ``point_splits[i]:point_splits[i + 1]``.
    sizes : ndarray, shape (n_candidates,), int64
        Number of space points of each candidate.
    candidate_splits : ndarray, shape (n_events + 1,), int64
        Event i has the sizes ``candidate_splits[i]:candidate_splits[i + 1]``.
    space_points : ndarray, shape (n_space_points_on_candidates,), int64
        As in `TrackCandidates`: counted from zero in each event.
    """

    labels: NDArray[np.int64]
    point_splits: NDArray[np.int64]
    sizes: NDArray[np.int64]
    candidate_splits: NDArray[np.int64]
    space_points: NDArray[np.int64]

    @classmethod
    def from_components(
        cls,
        components: NDArray[np.integer],
        xyz: NDArray[np.floating],
        point_splits: NDArray[np.int64],
        *,
        min_space_points: int = 1,
    ) -> CandidateChunk:
        """Return the components of several events that are large enough.

        What an event gets does not depend on the others.

        Parameters
        ----------
        components : ndarray, shape (n_space_points,), integer
            Any number per component, in each event anew; negative for none.
        xyz : ndarray, shape (n_space_points, 3), floating
            Positions in mm.
        point_splits : ndarray, shape (n_events + 1,), int64
        min_space_points : int
            Smaller components are no candidates.
        """
        on_any = np.flatnonzero(components >= 0)
        numbers = within_events(components, point_splits)
        is_on_one = len(on_any) == len(components)  # all of them: most models' way
        numbers = numbers if is_on_one else numbers[on_any]
        counts = np.bincount(numbers)
        rank, kept, first = number_by_first_point(
            numbers, on_any, counts >= max(min_space_points, 1)
        )
        if not is_on_one:
            all_ranks = np.full(len(components), -1, dtype=np.int64)
            all_ranks[on_any] = rank
            rank = all_ranks
        # Ordered by their first space point, candidates are ordered by event.
        candidate_splits = np.searchsorted(first, point_splits)
        is_kept = rank >= 0
        labels = rank - np.repeat(candidate_splits[:-1], np.diff(point_splits))
        labels[~is_kept] = -1
        points = np.flatnonzero(is_kept)
        distance2 = squared_distance(xyz)
        if len(points) < len(rank):
            rank, distance2 = rank[points], distance2[points]
        outward = points[outward_order(rank, distance2)]
        sizes = counts[kept]
        n_members = np.add.reduceat(np.append(sizes, 0), candidate_splits[:-1])
        n_members[np.diff(candidate_splits) == 0] = 0  # where reduceat sums nothing
        return cls(
            labels=labels,
            point_splits=point_splits,
            sizes=sizes,
            candidate_splits=candidate_splits,
            # The members are ordered by event too.
            space_points=outward - np.repeat(point_splits[:-1], n_members),
        )

    @property
    def member_splits(self) -> NDArray[np.int64]:
        """Offsets of each event in `space_points`, shape (n_events + 1,), int64."""
        until = np.concatenate(([0], np.cumsum(self.sizes)))
        splits: NDArray[np.int64] = until[self.candidate_splits]
        return splits

    def __len__(self) -> int:
        return len(self.point_splits) - 1

    def __getitem__(self, index: int) -> TrackCandidates:  # type: ignore[override]  # no slices
        """Return the candidates of one event; views."""
        if not 0 <= index < len(self):
            raise IndexError(f"no event {index} in a chunk of {len(self)}")
        return next(self._from(index))

    def __iter__(self) -> Iterator[TrackCandidates]:
        return self._from(0)

    def _from(self, start: int) -> Iterator[TrackCandidates]:
        members = self.member_splits.tolist()
        points, candidates = self.point_splits.tolist(), self.candidate_splits.tolist()
        # All candidates' offsets at once; an event's begin with zero.
        until = np.concatenate(([0], np.cumsum(self.sizes)))
        for index in range(start, len(self)):
            low, high = candidates[index], candidates[index + 1]
            yield TrackCandidates(
                labels=self.labels[points[index] : points[index + 1]],
                row_splits=until[low : high + 1] - members[index],
                space_points=self.space_points[members[index] : members[index + 1]],
            )
