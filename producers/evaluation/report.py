"""An evaluation as figures, histograms, rows of text, JSON, and a page of plots."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from producers.evaluation.counting import EvaluationCounts, StyleCounts
from producers.evaluation.criteria import Criteria, Variable
from producers.evaluation.edges import EdgeCounts
from producers.evaluation.figures import COVERAGE, BinnedCounts, Ratio
from producers.evaluation.matching import MATCHING_STYLES, EventDisplay, MatchingStyle
from producers.evaluation.scores import TrackMLScore
from producers.io import write_picture
from producers.model.types import JsonObject, Untyped
from sonic_base import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["EvaluationReport"]

BinnedFigure: TypeAlias = Literal["efficiency", "fake_rate", "duplicate_rate"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class EvaluationReport:
    """How well the tracks of some events agree with the truth.

    The figures are attributes, by double majority: `efficiency`, `fake_rate` and so on;
    ``by_style["majority"].efficiency`` is that by another style of matching.

    Attributes
    ----------
    counts : EvaluationCounts
    criteria : Criteria
        The cuts on particles and candidates.
    edges : mapping of str to EdgeCounts
        By stage of the pipeline, if the edges were counted.
    edges_not_counted : str or None
        The reason why the edges were not counted, if known.
    n_failed_events : int
        Events without an answer; they are in no count.
    provenance : mapping
        Where the tracks come from.
    display : EventDisplay or None
        The event that `plot` draws.
    """

    counts: EvaluationCounts
    criteria: Criteria
    edges: Mapping[str, EdgeCounts] = field(default_factory=dict)
    edges_not_counted: str | None = None
    n_failed_events: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    display: EventDisplay | None = None

    def __repr__(self) -> str:
        n_events = self.counts.n_events
        failed = f", {self.n_failed_events} failed" if self.n_failed_events else ""
        events = "1 event" if n_events == 1 else f"{n_events} events"
        return (
            f"<EvaluationReport: {events}{failed}, efficiency {self.efficiency}, "
            f"fake rate {self.fake_rate}>"
        )

    @property
    def by_style(self) -> Mapping[MatchingStyle, StyleCounts]:
        """The figures by ``majority``, ``double_majority`` and ``perfect``."""
        return self.counts.styles

    @property
    def efficiency(self) -> Ratio:
        """Fiducial particles that a candidate is matched to / fiducial particles."""
        return self.by_style["double_majority"].efficiency

    @property
    def displaced_efficiency(self) -> Ratio:
        """The efficiency for particles produced further out."""
        return self.by_style["double_majority"].displaced_efficiency

    @property
    def fake_rate(self) -> Ratio:
        """Candidates matched to no particle at all / candidates."""
        return self.by_style["double_majority"].fake_rate

    @property
    def duplicate_rate(self) -> Ratio:
        """Matched candidates beyond the first of each particle / matched candidates."""
        return self.by_style["double_majority"].duplicate_rate

    @property
    def technical_efficiency(self) -> Ratio:
        """The efficiency for all that pass the cuts with at least 3 space points.

        Notes
        -----
        acorn, ``track_building_stage.py``: reconstructable particles have at least
        3 hits in the input.
        """
        return Ratio(self.counts.n_technical_found, self.counts.n_technical)

    @property
    def physical_efficiency(self) -> Ratio:
        """The efficiency for all that the truth lists, with space points or without.

        The files of `sonic simulate` list particles that left at least one.
        """
        return Ratio(self.counts.n_physical_found, self.counts.n_physical)

    @property
    def trackml_score(self) -> TrackMLScore:
        """The score of the TrackML challenge."""
        return self.counts.score

    def stage_efficiencies(self) -> dict[str, Ratio]:
        """Return the share of the true edges of the previous stage that each keeps.

        Stages that can add edges are left out, that is the edges along candidates.
        """
        found = {stage: edges.n_found for stage, edges in self.edges.items()}
        return {
            stage: Ratio(found[stage], found[before])
            for before, stage in pairwise(found)
            if stage != "tracks"
        }

    def histogram(
        self,
        figure: BinnedFigure,
        variable: Variable,
        style: MatchingStyle = "double_majority",
    ) -> Untyped:
        """Return a figure in bins of a variable, as a `hist.Hist` of counts.

        Parameters
        ----------
        figure : {"efficiency", "fake_rate", "duplicate_rate"}
        variable : {"pt_gev", "eta", "production_radius_mm"}
            Of the particle; for candidates, of that with most of their space points.
            The cut on this variable is left out, and the outer bins also take the
            values beyond them.
        style : {"majority", "double_majority", "perfect"}
            By double majority there are no duplicates.

        Returns
        -------
        hist.Hist
            Axes `variable` and ``passed``: found, fake or duplicate. ``h[:, True]``
            over ``h[:, sum]`` is the figure.

        Raises
        ------
        ValueError
            If there is no such figure, variable or style.
        ConfigError
            If the extra ``plot`` is not installed.
        """
        _require_known("style", style, self.by_style)
        counts = self.by_style[style]
        binned = {
            "efficiency": counts.found,
            "fake_rate": counts.fakes,
            "duplicate_rate": counts.duplicates,
        }
        _require_known("figure", figure, binned)
        _require_known("variable", variable, binned[figure])
        return binned[figure][variable].to_hist(variable)

    def plot(self, path: Path | str | None = None) -> Figure:
        """Draw the page of efficiencies, candidates, fakes and an event.

        The figure is not known to pyplot, and no setting of matplotlib is changed.

        Parameters
        ----------
        path : path, optional
            Write the page as a png, pdf or svg file, as its suffix says, complete or
            not at all. Replaces an old file.

        Raises
        ------
        OutputError
            If the file cannot be written.
        ConfigError
            If the extra ``plot`` is not installed.
        """
        try:
            from producers.evaluation.plot import draw_page  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigError(
                "plots need matplotlib and mplhep: pip install 'sonic-tracking[plot]'"
            ) from error
        figure = draw_page(
            self.counts,
            self.criteria,
            title=self._title(),
            edges=self.edges,
            display=self.display,
        )
        if path is not None:
            write_picture(Path(path), figure, dpi=130)
        return figure

    def _title(self) -> str:
        model, weights = (self.provenance.get(key) for key in ("model", "weights_id"))
        name = model.get("name") if isinstance(model, dict) else model
        by_model = f" by {name}" if name else ""
        by_model += f", weights {weights}" if weights else ""
        n_events = self.counts.n_events
        mean = self.counts.n_space_points / max(n_events, 1)
        return (
            f"Track finding{by_model}: {n_events} events of {mean:,.0f} space points "
            "on average"
        )

    def to_dict(self) -> JsonObject:
        """Return plain values for JSON."""
        counts = self.counts
        by_style = {
            style: _style_to_dict(self.by_style[style]) for style in MATCHING_STYLES
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
            "displaced_particles": self.displaced_efficiency.total,
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
        single = self.by_style["majority"]
        rows = [
            ("events", f"{counts.n_events} ({counts.n_space_points} space points)"),
            ("particles counted", f"{counts.n_fiducial}: {self.criteria}"),
            (
                "candidates counted",
                f"{counts.n_candidates} of at least {least} space points "
                f"({counts.n_small_candidates} smaller)",
            ),
            ("efficiency (double majority)", str(self.efficiency)),
            ("fake rate", str(self.fake_rate)),
            ("duplicate rate", str(self.duplicate_rate)),
            ("efficiency (single majority)", str(single.efficiency)),
            ("fake rate (single majority)", str(single.fake_rate)),
            ("duplicate rate (single majority)", str(single.duplicate_rate)),
            ("efficiency (perfect)", str(self.by_style["perfect"].efficiency)),
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
                f"{self.displaced_efficiency} produced "
                f"{self.criteria.displaced().region}",
            ),
            ("TrackML score", str(counts.score)),
        ]
        if self.n_failed_events:
            rows.insert(1, ("failed events", f"{self.n_failed_events}, left out"))
        n_events = max(counts.n_events, 1)
        for stage, edges in self.edges.items():
            per_event = edges.n_edges / n_events
            rows.append((f"edges, {stage}", f"{per_event:.0f} per event"))
            rows.append((f"edge efficiency, {stage}", str(edges.efficiency)))
            rows.append((f"edge purity, {stage}", str(edges.purity)))
        rows.append(("intervals", f"Clopper-Pearson, {COVERAGE:.1%}"))
        return rows


def _require_known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ValueError(f"{kind} must be one of {', '.join(known)}, got {name!r}")


def _style_to_dict(counts: StyleCounts) -> JsonObject:
    return {
        "efficiency": counts.efficiency.to_dict(),
        "displaced_efficiency": counts.displaced_efficiency.to_dict(),
        "fake_rate": counts.fake_rate.to_dict(),
        "duplicate_rate": counts.duplicate_rate.to_dict(),
        "efficiency_in_bins": _bins_to_dict(counts.found),
        "fake_rate_in_bins": _bins_to_dict(counts.fakes),
        "duplicate_rate_in_bins": _bins_to_dict(counts.duplicates),
    }


def _bins_to_dict(bins: Mapping[Variable, BinnedCounts]) -> JsonObject:
    return {name: binned.to_dict(name) for name, binned in bins.items()}
