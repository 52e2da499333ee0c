"""The numbers of an evaluation, as text on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.evaluation.report import EvaluationReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_numbers"]

STEP = 0.075


def write_numbers(axes: Axes, report: EvaluationReport) -> None:
    """Write the rates with their intervals, and what was counted."""
    axes.set_axis_off()
    region = report.criteria.displaced()
    lines = [
        ("efficiency", report.efficiency()),
        ("single majority", report.efficiency("majority")),
        ("perfect", report.efficiency("perfect")),
        ("displaced", report.displaced_efficiency()),
        ("fake rate", report.fake_rate()),
        ("duplicate rate", report.duplicate_rate("majority")),
        ("TrackML score", report.counts.score),
    ]
    for row, (name, ratio) in enumerate(lines):
        height = 1.0 - STEP * row
        value, bracket, counted = str(ratio).partition(")")
        text = value + bracket if bracket else value.partition(":")[0]
        axes.text(0.0, height, name, fontsize=10, fontweight="bold", va="baseline")
        axes.text(0.34, height, text, fontsize=10, va="baseline")
        axes.text(
            0.85, height, counted.strip(", "), fontsize=8, color="0.4", va="baseline"
        )
    criteria, least = report.criteria, report.criteria.min_candidate_space_points
    notes = (
        "Double majority: more than half of the candidate's space points on\n"
        "the particle, and more than half of the particle's on it. Single: the\n"
        "first only; so the duplicate rate. Perfect: all of both.\n"
        f"Particles: charged, $p_\\mathrm{{T}}$ > {criteria.min_pt_gev:g} GeV, "
        f"|$\\eta$| < {criteria.max_abs_eta:g}, "
        f"at least {criteria.min_particle_space_points}\n"
        f"space points, produced {criteria.region}"
        f"; displaced: {region.min_production_radius_mm:g} to "
        f"{region.max_production_radius_mm:g} mm.\n"
        f"Candidates: at least {least} space points; rates are shown against\n"
        "the particle with most of them, in bins of ten and more.\n"
        "Dotted: the cut, left out where its variable is shown.\n"
        "Bars: Clopper-Pearson, 68 %."
    )
    axes.text(0.0, -0.02, notes, fontsize=8.5, color="0.3", linespacing=1.4)
