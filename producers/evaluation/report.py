"""The evaluation of a tracks file, as numbers, rows of text, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from producers.errors import NoEventsError, UnequalEventsError
from producers.evaluation.counts import BinnedCounts, EvaluationCounts, count_event
from producers.evaluation.criteria import Criteria
from producers.evaluation.edges import EdgeCounts
from producers.evaluation.matching import MATCHING_STYLES, MatchingStyle
from producers.evaluation.ratio import COVERAGE, Ratio, intervals
from producers.iteration import iterating
from producers.readers import TrackEvent, TrackEvents, TruthEvent, TruthEvents

__all__ = ["EvaluationReport", "evaluate"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EvaluationReport:
    """How well the tracks of some events agree with the truth.

    Attributes
    ----------
    counts : EvaluationCounts
    criteria : Criteria
        What was counted.
    edges : mapping of str to EdgeCounts
        By stage of the pipeline, if it was looked into.
    n_failed_events : int
        Events without an answer: in no count.
    provenance : mapping
        Where the tracks come from.
    """

    counts: EvaluationCounts
    criteria: Criteria
    edges: Mapping[str, EdgeCounts] = field(default_factory=dict)
    n_failed_events: int = 0
    # Any: JSON values of several kinds.
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def efficiency(self, style: MatchingStyle = "double_majority") -> Ratio:
        """Fiducial particles that a candidate is matched to / fiducial particles."""
        return Ratio(self.counts.found[style], self.counts.n_fiducial)

    @property
    def technical_efficiency(self) -> Ratio:
        """The same for all that pass the cuts with at least 3 space points.

        Notes
        -----
        acorn, ``track_building_stage.py``: reconstructable particles have at least
        3 hits in the input.
        """
        return Ratio(self.counts.n_technical_found, self.counts.n_technical)

    def fake_rate(self, style: MatchingStyle = "double_majority") -> Ratio:
        """Candidates matched to no particle at all / candidates."""
        n_candidates = self.counts.n_candidates
        return Ratio(n_candidates - self.counts.matched[style], n_candidates)

    def duplicate_rate(self, style: MatchingStyle = "double_majority") -> Ratio:
        """Matched candidates beyond the first of each particle / matched candidates.

        By double majority it is zero where candidates share no space point: two
        cannot each have more than half of one particle.

        Notes
        -----
        acorn, ``track_building_stage.py``, divides by the particles matched.
        """
        matched = self.counts.matched[style]
        return Ratio(matched - self.counts.distinct[style], matched)

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        counts = self.counts
        by_style = {
            style: {
                "efficiency": self.efficiency(style).to_dict(),
                "fake_rate": self.fake_rate(style).to_dict(),
                "duplicate_rate": self.duplicate_rate(style).to_dict(),
            }
            for style in MATCHING_STYLES
        }
        return {
            **by_style["double_majority"],
            "technical_efficiency": self.technical_efficiency.to_dict(),
            "matching": by_style,
            "efficiency_in_bins": {
                name: _bins_to_dict(binned) for name, binned in counts.binned.items()
            },
            "edges": {stage: edges.to_dict() for stage, edges in self.edges.items()},
            "events": counts.n_events,
            "failed_events": self.n_failed_events,
            "space_points": counts.n_space_points,
            "candidates": counts.n_candidates,
            "small_candidates": counts.n_small_candidates,
            "fiducial_particles": counts.n_fiducial,
            "candidate_sizes": counts.sizes.tolist(),
            "fake_candidate_sizes": counts.fake_sizes.tolist(),
            "criteria": asdict(self.criteria),
            "interval": f"Clopper-Pearson, {COVERAGE:.1%}",
            "provenance": dict(self.provenance),
        }

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    def rows(self) -> list[tuple[str, str]]:
        """Return the report as label and value, ready for a table."""
        counts, least = self.counts, self.criteria.min_candidate_space_points
        rows = [
            ("events", f"{counts.n_events} ({counts.n_space_points} space points)"),
            ("particles counted", f"{counts.n_fiducial}: {self.criteria}"),
            (
                "candidates counted",
                f"{counts.n_candidates} of at least {least} space points "
                f"({counts.n_small_candidates} smaller)",
            ),
            ("efficiency (double majority)", str(self.efficiency())),
            ("fake rate", str(self.fake_rate())),
            ("duplicate rate", str(self.duplicate_rate())),
            ("efficiency (majority)", str(self.efficiency("majority"))),
            ("duplicate rate (majority)", str(self.duplicate_rate("majority"))),
            ("efficiency (perfect)", str(self.efficiency("perfect"))),
            ("efficiency (3 space points on)", str(self.technical_efficiency)),
        ]
        if self.n_failed_events:
            rows.insert(1, ("failed events", f"{self.n_failed_events}, left out"))
        for stage, edges in self.edges.items():
            rows.append((f"edge efficiency, {stage}", str(edges.efficiency)))
            rows.append((f"edge purity, {stage}", str(edges.purity)))
        rows.append(("intervals", f"Clopper-Pearson, {COVERAGE:.1%}"))
        return rows


def _bins_to_dict(binned: BinnedCounts) -> dict[str, list[Any]]:
    low, high = intervals(binned.passed, binned.total)
    values = [
        Ratio(int(passed), int(total))
        for passed, total in zip(binned.passed, binned.total, strict=True)
    ]
    return {
        "edges": binned.edges.tolist(),
        "value": [ratio.value if ratio.total else None for ratio in values],
        "low": low.tolist(),
        "high": high.tolist(),
        "passed": binned.passed.tolist(),
        "total": binned.total.tolist(),
    }


def evaluate(
    tracks: TrackEvents,
    truth: TruthEvents,
    *,
    criteria: Criteria | None = None,
    on_event: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Compare the candidates of a job with the truth of its events.

    Events that failed are left out. Events are paired by position, since their
    numbers need not be unique over files, and the numbers are compared. The truth may
    go on after the last event of the tracks: a job may have stopped at a number of
    events.

    Parameters
    ----------
    tracks : TrackEvents
    truth : TruthEvents
        Of the same inputs in the same order.
    criteria : Criteria, optional
    on_event : callable, optional
        Called with the number of events done.

    Raises
    ------
    NoEventsError
        If there are no tracks of any event.
    UnequalEventsError
        If the truth is of other events, of fewer, or of other space points.
    """
    criteria = criteria or Criteria()
    if not len(tracks):
        raise NoEventsError(f"{tracks.path}: no events in it")
    if len(truth) < len(tracks):
        raise UnequalEventsError(
            f"{tracks.path}: {len(tracks)} events, the truth has {len(truth)}"
        )
    total, n_failed = EvaluationCounts(), 0
    with iterating(tracks) as found_events, iterating(truth) as true_events:
        pairs = zip(found_events, true_events, strict=False)
        for entry, (found, event) in enumerate(pairs):
            if found.is_failed:
                n_failed += 1
            else:
                _require_same_event(tracks, entry, found, event)
                total += count_event(found.candidates, event, criteria)
            if on_event is not None:
                on_event(entry + 1)
    return EvaluationReport(
        counts=total,
        criteria=criteria,
        n_failed_events=n_failed,
        provenance=tracks.provenance,
    )


def _require_same_event(
    tracks: TrackEvents, entry: int, found: TrackEvent, event: TruthEvent
) -> None:
    if found.event_id != event.event_id:
        raise UnequalEventsError(
            f"{tracks.path}: entry {entry} is event {found.event_id}, "
            f"in the truth it is event {event.event_id}"
        )
    n_labels, n_points = len(found.candidates.labels), len(event.particle_id)
    if n_labels != n_points:
        raise UnequalEventsError(
            f"{tracks.path}: event {found.event_id} (entry {entry}) has "
            f"{n_labels} space points, in the truth it has {n_points}"
        )
