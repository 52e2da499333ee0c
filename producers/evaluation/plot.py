"""The evaluation as a page of plots."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from producers.errors import OutputError
from producers.evaluation.display import EventDisplay
from producers.evaluation.report import EvaluationReport
from sonic_client.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["evaluation_page", "write_page"]


def evaluation_page(
    report: EvaluationReport, display: EventDisplay | None = None
) -> Figure:
    """Return a figure: efficiencies, candidates, fakes, and an event if there is one.

    It is not known to pyplot, and no setting of matplotlib is changed.

    Raises
    ------
    ConfigError
        If the extra ``plot`` is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

        from producers.evaluation import panels  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "plots need matplotlib and mplhep: pip install 'sonic-tracking[plot]'"
        ) from error
    n_columns = 3 if display is None else 4
    figure = Figure(figsize=(4.6 * n_columns, 8.6), layout="constrained")
    grid = figure.add_gridspec(2, n_columns)
    least = report.criteria.min_candidate_space_points

    panels.draw_efficiency(figure.add_subplot(grid[0, 0]), report, "pt_gev")
    panels.draw_efficiency(figure.add_subplot(grid[0, 1]), report, "eta")
    panels.draw_efficiency(
        figure.add_subplot(grid[0, 2]), report, "production_radius_mm"
    )
    panels.draw_sizes(figure.add_subplot(grid[1, 0]), report.counts, least)
    panels.draw_fake_rate(figure.add_subplot(grid[1, 1]), report.counts, least)
    for axes in figure.axes:
        axes.tick_params(which="both", direction="in", top=True, right=True)
        axes.minorticks_on()
    _write_numbers(figure.add_subplot(grid[1, 2]), report)
    if display is not None:
        for row, view in enumerate(("xy", "rz")):
            axes = figure.add_subplot(grid[row, 3])
            panels.draw_display(axes, display, view)
            axes.set_title(f"event {display.event_id}, candidates found", fontsize=10)
    figure.suptitle(_title(report), fontsize=13)
    return figure


def _title(report: EvaluationReport) -> str:
    model = report.provenance.get("model")
    name = model.get("name") if isinstance(model, dict) else model
    of_model = f" of {name}" if name else ""
    return f"Track finding{of_model}, {report.counts.n_events} events"


def _write_numbers(axes: Axes, report: EvaluationReport) -> None:
    axes.set_axis_off()
    lines = [
        ("efficiency", report.efficiency()),
        ("fake rate", report.fake_rate()),
        ("duplicate rate", report.duplicate_rate()),
        ("perfect", report.efficiency("perfect")),
    ]
    for row, (name, ratio) in enumerate(lines):
        height = 0.95 - 0.13 * row
        value, _, counted = str(ratio).partition("), ")
        axes.text(0.0, height, name, fontsize=12, fontweight="bold")
        axes.text(0.42, height, value + ")" * bool(counted), fontsize=12)
        axes.text(0.42, height - 0.055, counted, fontsize=9, color="0.4")
    criteria, least = report.criteria, report.criteria.min_candidate_space_points
    notes = (
        "Double majority: more than half of the candidate's space points\n"
        "on the particle, and more than half of the particle's on it.\n"
        f"Particles: charged, $p_\\mathrm{{T}}$ > {criteria.min_pt_gev:g} GeV, "
        f"|$\\eta$| < {criteria.max_abs_eta:g},\n"
        f"at least {criteria.min_particle_space_points} space points, produced within "
        f"{criteria.max_production_radius_mm:g} mm.\n"
        f"Candidates: at least {least} space points.\n"
        "Dotted: the cut, left out where its variable is shown.\n"
        "Bars: Clopper-Pearson, 68 %."
    )
    axes.text(0.0, 0.0, notes, fontsize=9, color="0.3", linespacing=1.5)


def write_page(
    report: EvaluationReport, path: Path | str, display: EventDisplay | None = None
) -> None:
    """Write the page as a PNG file; complete, or not at all. Replaces an old file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    ConfigError
        If the extra ``plot`` is not installed.
    """
    path = Path(path)
    image = io.BytesIO()
    evaluation_page(report, display).savefig(image, format="png", dpi=130)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(image.getvalue())
        partial.replace(path)
    except OSError as error:
        raise OutputError(path, f"cannot write: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
