"""The range of the events that weights were trained on, and the check of other events.

A network answers whatever it is given. Positions in centimetres, or events ten times as
dense as those of its training, get tracks that look like tracks. Weights therefore
record the range of their training events; clients compare each event with it before it
is sent, and so does the pipeline itself.

This module loads numpy; the package's root does not load it.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sonic_base.errors import ConfigError, SonicError

__all__ = ["InputCheck", "InputRange", "InputRangeError", "Spread", "event_density"]

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1

MARGIN = 1.1
"""Values up to a tenth beyond those of the training are within its range: other
detectors of the same size differ by that."""

FAR_SHARE, BORDER_SHARE = 0.1, 0.01
"""Shares of an event's space points out of the range, from which it is refused, and
from which there is a warning. Of an event in centimetres more than a third are: all
points within a quarter of the detector's radius."""

MIN_OUTSIDE = 3
"""Fewer space points than that are never reason enough, in events of any size."""

FAR_DENSITY, BORDER_DENSITY = 2.0, 1.25
"""Densities over the greatest of the training, likewise."""

FAR_SHARE_FACTOR = 1.25
"""A job's share of space points on candidates is unusual from this factor on."""

N_ETA, N_PHI, MAX_ETA = 16, 16, 4.0
"""Cells in which the density is counted: 0.5 in eta, 2 pi / 16 in phi."""

MIN_CELLS = 16
"""Events on fewer cells have no density: of a jet alone it would say nothing."""

QUANTILES = (0.0001, 0.01, 0.99, 0.9999)

SAMPLED_ROWS = 512
"""Rows of a chunk that the first look takes; mistakes are made with all of them."""

MIN_POINTS = 30
"""With fewer space points on one side of the beam, nothing is said of phi."""

UNITS = (
    *(("millimetres", "mm", 1.0), ("centimetres", "cm", 10.0), ("metres", "m", 1e3)),
    ("micrometres", "um", 1e-3),
)
"""Units that positions may be in, with their millimetres."""

NAME_UNITS = {"r": "mm", "phi": "rad", "z": "mm", "x": "mm", "y": "mm"}

Floats = NDArray[np.float64]


class InputRangeError(SonicError, ValueError):
    """An event is far from all that the weights were trained on.

    Attributes
    ----------
    quantity : str
        What is out of its range: the name of a feature, or ``density``.
    cause : str
        What the likely cause is; empty if there is none that would explain it.
    """

    def __init__(self, *, quantity: str, found: str, cause: str, remedy: str) -> None:
        self.quantity, self.cause = quantity, cause
        because = f" ({cause})" if cause else ""
        super().__init__(
            f"not what these weights were trained on: {found}{because}; {remedy}, or "
            "any_input=True (--any-input) to find tracks nevertheless"
        )

    def of_event(self, number: int) -> InputRangeError:
        """Return the same error with the event's number before its message."""
        named = InputRangeError.__new__(InputRangeError)
        named.args = (f"event {number}: {self}",)
        named.quantity, named.cause = self.quantity, self.cause
        return named


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the values of a quantity are: all of them, and all but 1 % on either side.

    *All* leaves out one in ten thousand, so that a stray point does not widen it.

    Raises
    ------
    ConfigError
        If the numbers do not ascend.
    """

    least: float
    low: float
    high: float
    greatest: float

    def __post_init__(self) -> None:
        if not self.least <= self.low <= self.high <= self.greatest:
            raise ConfigError(f"expected four ascending numbers, got {self.values}")

    @property
    def values(self) -> list[float]:
        """Least, 1 %, 99 %, greatest."""
        return [self.least, self.low, self.high, self.greatest]

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.floating]) -> Self:
        """Return the spread of at least one value, to six digits."""
        numbers = np.quantile(np.asarray(values, np.float64), QUANTILES)
        return cls(*(float(f"{number:.6g}") for number in numbers))

    def hull(self, other: Spread) -> Spread:
        """Return a spread that has both within."""
        return Spread(
            *map(min, self.values[:2], other.values[:2]),
            *map(max, self.values[2:], other.values[2:]),
        )

    def has(self, value: float) -> bool:
        """Return True for a value within the bounds."""
        least, greatest = self.bounds()
        return least <= value <= greatest

    def bounds(self) -> tuple[float, float]:
        """Return the least and greatest value that is within the range, a margin off.

        The margin is a factor, so that positive values stay positive: a radius in other
        units is out of the range at its lower end, too.
        """
        least, greatest = self.least, self.greatest
        return (
            least / MARGIN if least > 0.0 else least * MARGIN,
            greatest * MARGIN if greatest > 0.0 else greatest / MARGIN,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRange:
    """The range of the events that weights were trained on."""

    n_events: int
    """Events that it was measured on."""

    features: Mapping[str, Spread]
    """By name, such as ``r``: of all space points, in mm or rad, before the scales."""

    space_points: Spread
    """Number of an event."""

    density: Spread
    """See `event_density`."""

    edges_per_point: Spread
    """Pairs within the radius of the embedding, over the event's space points."""

    on_candidates: Spread
    """Share of an event's space points that are on candidates of three or more."""

    members: tuple[InputRange, ...] = ()
    """The ranges that this one has within, if it is the hull of several."""

    def hull(self, other: InputRange) -> InputRange:
        """Return a range that has both within.

        Raises
        ------
        ConfigError
            If their features differ.
        """
        if list(self.features) != list(other.features):
            raise ConfigError(
                f"ranges of different features: {', '.join(self.features)} and "
                f"{', '.join(other.features)}"
            )
        return InputRange(
            n_events=self.n_events + other.n_events,
            features={
                name: spread.hull(other.features[name])
                for name, spread in self.features.items()
            },
            space_points=self.space_points.hull(other.space_points),
            density=self.density.hull(other.density),
            edges_per_point=self.edges_per_point.hull(other.edges_per_point),
            on_candidates=self.on_candidates.hull(other.on_candidates),
            members=(self.members or (self,)) + (other.members or (other,)),
        )

    def unusual_share(self, share: float, points_per_event: float) -> str:
        """Say that few or many of a job's space points are on candidates.

        Parameters
        ----------
        share : float
            Of all space points of the job.
        points_per_event : float
            Mean number of space points of its events: of a hull, the members that saw
            such events count.

        Returns
        -------
        str
            Empty if the share is as in the training.
        """
        among = self.members or (self,)
        fitting = [each for each in among if each.space_points.has(points_per_event)]
        spreads = [each.on_candidates for each in fitting or among]
        least = min(each.least for each in spreads)
        greatest = max(each.greatest for each in spreads)
        if least / FAR_SHARE_FACTOR <= share <= greatest * FAR_SHARE_FACTOR:
            return ""
        return (
            f"{share:.1%} of the space points are on candidates, in the training it "
            f"was {least:.1%} to {greatest:.1%} of an event: were these weights made "
            "for such events?"
        )

    # Any: plain values for TOML and JSON, nested.
    def to_mapping(self) -> dict[str, Any]:
        """Return plain values; each spread is a list of its four numbers."""
        return {
            "version": FORMAT_VERSION,
            "n_events": self.n_events,
            **{name: getattr(self, name).values for name in _OF_EVENTS},
            "features": {name: each.values for name, each in self.features.items()},
            **(
                {"members": [e.to_mapping() for e in self.members]}
                if self.members
                else {}
            ),
        }

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any], *, where: str) -> Self:
        """Return the range that `to_mapping` gave.

        Raises
        ------
        ConfigError
            If a value is missing, wrong, or of a later version; it begins with `where`.
        """
        version = table.get("version")
        if version != FORMAT_VERSION:
            raise ConfigError(
                f"{where}: expected version {FORMAT_VERSION}, got {version!r}"
            )
        try:
            return cls(
                n_events=int(table["n_events"]),
                features={
                    str(name): Spread(*map(float, numbers))
                    for name, numbers in table["features"].items()
                },
                **{name: Spread(*map(float, table[name])) for name in _OF_EVENTS},
                members=tuple(
                    cls.from_mapping(each, where=where)
                    for each in table.get("members", ())
                ),
            )
        except KeyError as error:
            raise ConfigError(f"{where}: key {error} is missing") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{where}: {error}") from error

    def to_text(self) -> str:
        """Return it as JSON on one line: a parameter of a served model."""
        return json.dumps(self.to_mapping(), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str, *, where: str) -> Self:
        """Return the range that `to_text` gave.

        Raises
        ------
        ConfigError
            If it is no such text; it begins with `where`.
        """
        try:
            table = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{where}: expected JSON, got {text[:40]!r}") from error
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: expected a JSON object, got {text[:40]!r}")
        return cls.from_mapping(table, where=where)


_OF_EVENTS = ("space_points", "density", "edges_per_point", "on_candidates")


def event_density(r_mm: Floats, phi_rad: Floats, z_mm: Floats) -> float:
    """Mean number of space points in a cell of 0.5 in eta by 2 pi / 16 in phi.

    The mean is over the cells that have any, so that it is nearly the same for a wedge
    in phi, a part of the range in eta, or some layers of an event as for all of it. On
    the generic detector it is 8 to 20 without pileup, 60 to 170 at pileup 40, and 430
    to 630 at pileup 200.

    Parameters
    ----------
    r_mm, phi_rad, z_mm : ndarray, shape (n_space_points,), floating

    Returns
    -------
    float
        0.0 if the points are on fewer than 16 cells: then nothing can be said.
    """
    eta = np.arcsinh(z_mm / np.maximum(r_mm, 1e-3))
    of_eta = ((eta + MAX_ETA) * (N_ETA / (2 * MAX_ETA))).astype(np.int64)
    of_phi = (phi_rad * (N_PHI / (2 * math.pi)) + N_PHI).astype(np.int64) % N_PHI
    cells = np.clip(of_eta, 0, N_ETA - 1) * N_PHI + of_phi
    n_occupied = np.count_nonzero(np.bincount(cells, minlength=N_ETA * N_PHI))
    return len(r_mm) / n_occupied if n_occupied >= MIN_CELLS else 0.0


class InputCheck:
    """Compares events with the range of the weights' training.

    Several threads may share one. The first borderline event is warned of, the others
    are not.

    Parameters
    ----------
    range_ : InputRange
    names : sequence of str
        The features, in the order of the columns.
    scales : sequence of float
        Divisors of the columns.
    unit : {"mm", "cm", "m", "um"}
        What the positions were read as, before they were converted to mm: if that was
        wrong, errors name the right one.
    warns : bool
        Whether borderline events are warned of.

    Raises
    ------
    ConfigError
        If the range lacks a feature.
    """

    def __init__(
        self,
        range_: InputRange,
        names: Sequence[str],
        scales: Sequence[float],
        *,
        unit: str = "mm",
        warns: bool = True,
    ) -> None:
        missing = [name for name in names if name not in range_.features]
        if missing:
            raise ConfigError(
                f"the range of the weights lacks feature {missing[0]!r}, it has "
                f"{', '.join(range_.features)}"
            )
        self.range, self.names = range_, tuple(names)
        self._scales = np.asarray(scales, np.float64)
        self._bounds = np.array([range_.features[name].bounds() for name in names]).T
        # Plain numbers: with so few of them, arrays take longer.
        self._scaled_bounds = (self._bounds / self._scales).T.tolist()
        self._phi = self.names.index("phi") if "phi" in names else -1
        self._half_turn = 0.5 * math.pi / scales[self._phi]
        self._is_cylindrical = {"r", "phi", "z"} <= set(names)
        self._unit = unit
        self._warns = warns

    def silent(self) -> InputCheck:
        """Return the same check without warnings: for servers, whose clients warn."""
        return InputCheck(self.range, self.names, self._scales.tolist(), warns=False)

    def up_to_density(self, density: float) -> InputCheck:
        """Return the same check for weights that are good up to this density."""
        spread = self.range.density
        widened = replace(spread, greatest=max(spread.greatest, density))
        return InputCheck(
            replace(self.range, density=widened), self.names, self._scales.tolist()
        )

    def needs_no_closer_look(
        self, features: NDArray[np.float32], row_splits: NDArray[np.int64]
    ) -> bool:
        """Return True if all events of a chunk are clearly within the range.

        It takes some microseconds a chunk: it looks at the extremes of some hundred
        rows and at the sizes of events, because wrong units and the like concern all
        of them. Otherwise call `require` for each event.

        Parameters
        ----------
        features : ndarray, shape (n_rows, n_features), float32
            Scaled.
        row_splits : ndarray, shape (n_events + 1,), int64
            Event i has the rows ``row_splits[i]:row_splits[i + 1]``.
        """
        if not len(features):
            return True
        # Contiguous columns: minima along the rows of the array take ten times as long.
        rows = features[:: 1 + len(features) // SAMPLED_ROWS].T.copy()
        least, greatest = rows.min(axis=1).tolist(), rows.max(axis=1).tolist()
        for column, (low, high) in enumerate(self._scaled_bounds):
            if not (least[column] >= low and greatest[column] <= high):
                return False
        if self._is_cylindrical and len(features) >= MIN_POINTS:
            half = self._half_turn
            if least[self._phi] > -half and greatest[self._phi] < half:
                return False
        n_points = (row_splits[1:] - row_splits[:-1]).max()
        return bool(n_points <= self.range.space_points.high)

    def require(self, features: NDArray[np.float32]) -> None:
        """Refuse an event that is far from all that the weights were trained on.

        Parameters
        ----------
        features : ndarray, shape (n_space_points, n_features), float32
            Scaled; finite.

        Raises
        ------
        InputRangeError
            The message names the likely cause.
        """
        if not len(features):
            return
        # Contiguous columns: each is read several times.
        columns = np.ascontiguousarray(features.T, np.float64) * self._scales[:, None]
        low, high = self._bounds
        outside = (columns < low[:, None]) | (columns > high[:, None])
        n_outside = np.count_nonzero(outside, axis=1)
        worst = int(np.argmax(n_outside))
        share = n_outside[worst] / len(features)
        is_judged = n_outside[worst] >= MIN_OUTSIDE
        if is_judged and share > FAR_SHARE:
            self._refuse_values(worst, columns)
        density = 0.0
        if self._is_cylindrical:
            r, phi, z = (columns[self.names.index(name)] for name in ("r", "phi", "z"))
            self._require_spread_in_phi(r, phi)
            density = event_density(r, phi, z)
        greatest = self.range.density.greatest
        if density > FAR_DENSITY * greatest:
            raise InputRangeError(
                quantity="density",
                found=self._density_text(density, len(features)),
                cause="",
                remedy="use weights for such events (sonic weights list)",
            )
        if is_judged and share > BORDER_SHARE:
            self._warn(
                f"{share:.0%} of the points: {self._values_text(worst, columns)}"
            )
        elif density > BORDER_DENSITY * greatest:
            self._warn(self._density_text(density, len(features)))

    def _warn(self, text: str) -> None:
        if self._warns:
            self._warns = False
            logger.warning(
                "an event is at the border of what these weights were trained on, "
                "tracks may be worse: %s; further events are not reported",
                text,
            )

    def _values_text(self, column: int, columns: Floats) -> str:
        name = self.names[column]
        unit = NAME_UNITS.get(name, "")
        spread, values = self.range.features[name], columns[column]
        return (
            f"{name} is {values.min():.4g} to {values.max():.4g}, the weights saw "
            f"{spread.least:.4g} to {spread.greatest:.4g} {unit}".rstrip()
        )

    def _density_text(self, density: float, n_points: int) -> str:
        spread = self.range.density
        return (
            f"{n_points} space points, {density:.0f} in a cell of 0.5 in eta by 22.5 "
            f"degrees, the weights saw {spread.least:.0f} to {spread.greatest:.0f}"
        )

    def _refuse_values(self, column: int, columns: Floats) -> None:
        cause = remedy = ""
        if self._is_cylindrical:
            r, phi, z = (columns[self.names.index(name)] for name in ("r", "phi", "z"))
            cause, remedy = self._explained(r, phi, z)
        raise InputRangeError(
            quantity=self.names[column],
            found=self._values_text(column, columns),
            cause=cause,
            remedy=remedy or "give positions in mm with the beam along z",
        )

    def _explained(self, r: Floats, phi: Floats, z: Floats) -> tuple[str, str]:
        """Return the mistake that would explain the values, and what to do about it."""
        (mm_as_read,) = (in_mm for _, unit, in_mm in UNITS if unit == self._unit)
        as_read = "" if self._unit == "mm" else f"read as {self._unit}; "
        for words, unit, in_mm in UNITS:
            factor = in_mm / mm_as_read
            if unit != self._unit and self._fits(r * factor, z * factor):
                remedy = f'give unit="{unit}" (--unit {unit})'
                return f"{as_read}are these {words}?", remedy
        if np.abs(phi).max() > 1.5 * math.pi and self._fits(r, z):
            if np.abs(phi).max() > 2 * math.pi:
                return "is phi in degrees?", "give phi in rad"
            return "", "give phi from -pi to pi"
        if np.abs(phi).max() > MARGIN * math.pi and self._fits(r, z):
            return "", "give phi from -pi to pi"
        x, y = r * np.cos(phi), r * np.sin(phi)
        for words, radius, along in (
            ("x and z", np.hypot(z, y), x),
            ("y and z", np.hypot(x, z), y),
        ):
            if self._fits(radius, along):
                return f"are {words} swapped?", "give the beam along z"
        return "", ""

    def _fits(self, r: Floats, z: Floats) -> bool:
        """Whether next to all points are where the weights' detector is."""
        for name, values in (("r", r), ("z", z)):
            low, high = self._bounds[:, self.names.index(name)]
            n_outside = np.count_nonzero((values < low) | (values > high))
            if n_outside > BORDER_SHARE * len(values):
                return False
        return True

    def _require_spread_in_phi(self, r: Floats, phi: Floats) -> None:
        """Refuse r and phi that were given as x and y: all points are at x > 0."""
        if len(r) < MIN_POINTS or not (np.abs(phi) < 0.5 * math.pi).all():
            return
        x, y = r * np.cos(phi), r * np.sin(phi)
        is_radian = bool((np.abs(y) <= 2.01 * math.pi).all())
        # Of a wedge in phi no point is far from its axis near the beam and near it far
        # from the beam; angles in degrees are spread alike at all radii.
        is_degree = bool(
            (np.abs(y) <= 361.0).all()
            and np.mean(np.abs(y) > x) > 0.05
            and np.mean(x > 400.0) > 0.05
        )
        if is_radian or is_degree:
            raise InputRangeError(
                quantity="phi",
                found=f"x is {x.min():.4g} to {x.max():.4g} mm, and y is "
                f"{y.min():.4g} to {y.max():.4g} mm at every radius",
                cause="are x, y, z really r, phi, z?",
                remedy="give x = r cos(phi), y = r sin(phi), or columns r, phi, z",
            )
