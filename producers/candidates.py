"""Track candidates: which space points belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrackCandidates"]


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
        on_any = np.flatnonzero(components >= 0)
        numbers = components[on_any]
        if numbers.size and numbers.max() >= 4 * len(xyz):
            _, numbers = np.unique(numbers, return_inverse=True)
        counts = np.bincount(numbers)
        first = np.zeros(len(counts), dtype=np.int64)
        first[numbers[::-1]] = on_any[::-1]  # of equal indices the last one stays
        kept = np.flatnonzero(counts >= max(min_space_points, 1))
        kept = kept[np.argsort(first[kept])]
        renumbered = np.full(len(counts), -1, dtype=np.int64)
        renumbered[kept] = np.arange(len(kept))
        labels = np.full(len(xyz), -1, dtype=np.int64)
        labels[on_any] = renumbered[numbers]

        on_candidate = np.flatnonzero(labels >= 0)
        distance = np.linalg.norm(xyz[on_candidate].astype(np.float64), axis=1)
        outward = np.lexsort((distance, labels[on_candidate]))
        return cls(
            labels=labels,
            row_splits=np.concatenate(([0], np.cumsum(counts[kept]))).astype(np.int64),
            space_points=on_candidate[outward],
        )
