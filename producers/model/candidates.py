"""Track candidates: groups of space points, one for each track that was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from producers.model.chunk import splits_of
from producers.model.components import (
    candidate_order,
    number_by_first_point,
    squared_distance,
    within_events,
)
from producers.model.types import Untyped

__all__ = ["CandidateChunk", "TrackCandidates"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class TrackCandidates(Sequence["NDArray[np.int64]"]):
    """The track candidates of one event: a sequence of arrays of space points.

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

    Examples
    --------
    ::

        longest = tracks[int(np.argmax(tracks.sizes))]
        xyz_of_last = event.xyz[tracks[-1]]
        first_three = tracks[:3]
    """

    labels: NDArray[np.int64]
    row_splits: NDArray[np.int64]
    space_points: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def __repr__(self) -> str:
        return (
            f"<TrackCandidates: {len(self)} candidates with {len(self.space_points)} "
            f"of {len(self.labels)} space points>"
        )

    @overload
    def __getitem__(self, index: int) -> NDArray[np.int64]: ...

    @overload
    def __getitem__(self, index: slice) -> list[NDArray[np.int64]]: ...

    def __getitem__(
        self, index: int | slice
    ) -> NDArray[np.int64] | list[NDArray[np.int64]]:
        """Return the space points of one candidate, outward; a view. A list of a slice.

        Raises
        ------
        IndexError
            If there is no such candidate.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"no candidate {index} among {len(self)}")
        index %= len(self)
        return self.space_points[self.row_splits[index] : self.row_splits[index + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        splits = self.row_splits.tolist()
        return (self.space_points[low:high] for low, high in pairwise(splits))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of space points of each candidate."""
        return np.diff(self.row_splits)

    def to_awkward(self) -> Untyped:
        """Return the candidates, of type ``n_candidates * var * int64``; a view."""
        return ak.unflatten(self.space_points, self.sizes)

    @classmethod
    def none_among(cls, n_space_points: int) -> TrackCandidates:
        """Return the candidates of an event in which there are none."""
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
            Smaller components are left out.

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

    @classmethod
    def from_separated(
        cls,
        values: ArrayLike,
        xyz: NDArray[np.floating],
        *,
        separator: int = -1,
        min_space_points: int = 1,
    ) -> TrackCandidates:
        """Return the candidates of a model that lists them with separators.

        Parameters
        ----------
        values : array_like, shape (n,), integer
            Indices of space points, such as ``[3, 5, 8, -1, 0, 2]``. A separator after
            the last candidate makes no difference, nor do several in a row.
        xyz : ndarray, shape (n_space_points, 3), floating
            Positions in mm.
        separator : int
            The value between candidates; -1 in ATLAS' models.
        min_space_points : int
            Smaller candidates are left out.

        Raises
        ------
        ValueError
            If `values` has another shape, an index is out of range, or a space point
            is on two candidates.
        """
        flat = np.asarray(values, dtype=np.int64)
        if flat.ndim != 1:
            raise ValueError(f"expected values of shape (n,), got {flat.shape}")
        is_point = flat != separator
        points, n_points = flat[is_point], len(xyz)
        wrong = points[(points < 0) | (points >= n_points)]
        if len(wrong):
            raise ValueError(f"no space point {wrong[0]} among {n_points}")
        times = np.bincount(points, minlength=n_points)
        if (times > 1).any():
            shared = int(np.argmax(times > 1))
            raise ValueError(f"space point {shared} is on {times[shared]} candidates")
        components = np.full(n_points, -1, dtype=np.int64)
        components[points] = np.cumsum(~is_point)[is_point]
        return cls.from_components(components, xyz, min_space_points=min_space_points)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class CandidateChunk(Sequence[TrackCandidates]):
    """The candidates of neighbouring events in flat columns: one item per event.

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

        The candidates of an event do not depend on the other events.

        Parameters
        ----------
        components : ndarray, shape (n_space_points,), integer
            Any number per component within an event; negative for none.
        xyz : ndarray, shape (n_space_points, 3), floating
            Positions in mm.
        point_splits : ndarray, shape (n_events + 1,), int64
        min_space_points : int
            Smaller components are left out.
        """
        on_any = np.flatnonzero(components >= 0)
        numbers = within_events(components, point_splits)
        is_on_one = len(on_any) == len(components)  # the output of most models
        numbers = numbers if is_on_one else numbers[on_any]
        counts = np.bincount(numbers)
        rank, kept, first = number_by_first_point(
            numbers, on_any, counts >= max(min_space_points, 1)
        )
        if not is_on_one:
            all_ranks = np.full(len(components), -1, dtype=np.int64)
            all_ranks[on_any] = rank
            rank = all_ranks
        # Candidates are ordered by their first space point, hence by event too.
        candidate_splits = np.searchsorted(first, point_splits)
        is_kept = rank >= 0
        labels = rank - np.repeat(candidate_splits[:-1], np.diff(point_splits))
        labels[~is_kept] = -1
        points = np.flatnonzero(is_kept)
        distance2 = squared_distance(xyz)
        if len(points) < len(rank):
            rank, distance2 = rank[points], distance2[points]
        outward = points[candidate_order(rank, distance2)]
        sizes = counts[kept]
        n_members = np.add.reduceat(np.append(sizes, 0), candidate_splits[:-1])
        n_members[np.diff(candidate_splits) == 0] = (
            0  # reduceat gives an item there, not 0
        )
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
        until = splits_of(self.sizes)
        splits: NDArray[np.int64] = until[self.candidate_splits]
        return splits

    def __len__(self) -> int:
        return len(self.point_splits) - 1

    def __repr__(self) -> str:
        return f"<CandidateChunk: {len(self)} events, {len(self.sizes)} candidates>"

    @overload
    def __getitem__(self, index: int) -> TrackCandidates: ...

    @overload
    def __getitem__(self, index: slice) -> list[TrackCandidates]: ...

    def __getitem__(
        self, index: int | slice
    ) -> TrackCandidates | list[TrackCandidates]:
        """Return the candidates of one event; views. A list of a slice.

        Raises
        ------
        IndexError
            If there is no such event.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"no event {index} in a chunk of {len(self)}")
        return next(self._from(index % len(self)))

    def to_awkward(self) -> Untyped:
        """Return all, of type ``n_events * var * var * int64``: events, candidates."""
        by_candidate = ak.unflatten(self.space_points, self.sizes)
        return ak.unflatten(by_candidate, np.diff(self.candidate_splits))

    def __iter__(self) -> Iterator[TrackCandidates]:
        return self._from(0)

    def _from(self, start: int) -> Iterator[TrackCandidates]:
        members = self.member_splits.tolist()
        points, candidates = self.point_splits.tolist(), self.candidate_splits.tolist()
        # All candidates' offsets at once; an event's begin with zero.
        until = splits_of(self.sizes)
        for index in range(start, len(self)):
            low, high = candidates[index], candidates[index + 1]
            yield TrackCandidates(
                labels=self.labels[points[index] : points[index + 1]],
                row_splits=until[low : high + 1] - members[index],
                space_points=self.space_points[members[index] : members[index + 1]],
            )
