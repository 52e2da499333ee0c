"""An evaluation as numbers, rows of text, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from producers.evaluation.binned import BinnedCounts
from producers.evaluation.counts import EvaluationCounts
from producers.evaluation.criteria import Criteria, Variable
from producers.evaluation.display import EventDisplay
from producers.evaluation.edges import EdgeCounts
from producers.evaluation.matching import MATCHING_STYLES, MatchingStyle
from producers.evaluation.ratio import COVERAGE, Ratio, intervals

__all__ = ["EvaluationReport"]


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
    edges_not_counted : str or None
        The reason why `edges` is empty, if it is.
    display : EventDisplay or None
        An event to draw, if the input is at hand.
    """

    counts: EvaluationCounts
    criteria: Criteria
    edges: Mapping[str, EdgeCounts] = field(default_factory=dict)
    n_failed_events: int = 0
    # Any: JSON values of several kinds.
    provenance: Mapping[str, Any] = field(default_factory=dict)
    edges_not_counted: str | None = None
    display: EventDisplay | None = None

    def efficiency(self, style: MatchingStyle = "double_majority") -> Ratio:
        """Fiducial particles that a candidate is matched to / fiducial particles."""
        return Ratio(self.counts.found[style], self.counts.n_fiducial)

    def displaced_efficiency(self, style: MatchingStyle = "double_majority") -> Ratio:
        """The same for particles produced further out."""
        return Ratio(self.counts.found_displaced[style], self.counts.n_displaced)

    @property
    def technical_efficiency(self) -> Ratio:
        """The same for all that pass the cuts with at least 3 space points.

        Notes
        -----
        acorn, ``track_building_stage.py``: reconstructable particles have at least
        3 hits in the input.
        """
        return Ratio(self.counts.n_technical_found, self.counts.n_technical)

    @property
    def physical_efficiency(self) -> Ratio:
        """The same for all that the truth lists, whether they left space points or not.

        The files of `sonic simulate` list particles that left at least one.
        """
        return Ratio(self.counts.n_physical_found, self.counts.n_physical)

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

    def stage_efficiencies(self) -> dict[str, Ratio]:
        """Of the true edges that the stage before kept, the share that each keeps.

        Only of stages that can add none: not of the edges along the candidates.
        """
        found = {stage: edges.n_found for stage, edges in self.edges.items()}
        return {
            stage: Ratio(found[stage], found[before])
            for before, stage in pairwise(found)
            if stage != "tracks"
        }

    # Any: JSON values of several kinds.
    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        counts = self.counts
        by_style = {
            style: {
                "efficiency": self.efficiency(style).to_dict(),
                "displaced_efficiency": self.displaced_efficiency(style).to_dict(),
                "fake_rate": self.fake_rate(style).to_dict(),
                "duplicate_rate": self.duplicate_rate(style).to_dict(),
                "efficiency_in_bins": _all_to_dict(counts.found_in_bins[style]),
                "fake_rate_in_bins": _all_to_dict(counts.fakes_in_bins[style]),
                "duplicate_rate_in_bins": _all_to_dict(
                    counts.duplicates_in_bins[style]
                ),
            }
            for style in MATCHING_STYLES
        }
        of_stage = self.stage_efficiencies()
        return {
            **by_style["double_majority"],
            "technical_efficiency": self.technical_efficiency.to_dict(),
            "physical_efficiency": self.physical_efficiency.to_dict(),
            "trackml_score": counts.score.to_dict(),
            "matching": by_style,
            "edges": {
                stage: {
                    "edges": edges.n_edges,
                    **edges.to_dict(),
                    **(
                        {"stage_efficiency": of_stage[stage].to_dict()}
                        if stage in of_stage
                        else {}
                    ),
                }
                for stage, edges in self.edges.items()
            },
            "events": counts.n_events,
            "failed_events": self.n_failed_events,
            "space_points": counts.n_space_points,
            "candidates": counts.n_candidates,
            "small_candidates": counts.n_small_candidates,
            "fiducial_particles": counts.n_fiducial,
            "displaced_particles": counts.n_displaced,
            "candidate_sizes": counts.sizes.tolist(),
            "fake_candidate_sizes": counts.fake_sizes.tolist(),
            "criteria": asdict(self.criteria),
            "displaced_criteria": asdict(self.criteria.displaced()),
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
            ("efficiency (single majority)", str(self.efficiency("majority"))),
            ("fake rate (single majority)", str(self.fake_rate("majority"))),
            ("duplicate rate (single majority)", str(self.duplicate_rate("majority"))),
            ("efficiency (perfect)", str(self.efficiency("perfect"))),
            (
                "technical efficiency",
                f"{self.technical_efficiency} with 3 space points or more",
            ),
            (
                "physical efficiency",
                f"{self.physical_efficiency} listed, with space points or without",
            ),
            (
                "efficiency, displaced",
                f"{self.displaced_efficiency()} produced "
                f"{self.criteria.displaced().region}",
            ),
            ("TrackML score", str(counts.score)),
        ]
        if self.n_failed_events:
            rows.insert(1, ("failed events", f"{self.n_failed_events}, left out"))
        n_events = max(counts.n_events, 1)
        for stage, edges in self.edges.items():
            rows.append((f"edges, {stage}", f"{edges.n_edges / n_events:.0f} an event"))
            rows.append((f"edge efficiency, {stage}", str(edges.efficiency)))
            rows.append((f"edge purity, {stage}", str(edges.purity)))
        rows.append(("intervals", f"Clopper-Pearson, {COVERAGE:.1%}"))
        return rows


# Any: numbers and None.
def _all_to_dict(binned: Mapping[Variable, BinnedCounts]) -> dict[str, Any]:
    return {name: _bins_to_dict(each) for name, each in binned.items()}


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
