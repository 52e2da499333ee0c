"""The evaluation as a page of plots."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from producers.evaluation.binned import BIN_EDGES
from producers.evaluation.display import EventDisplay
from producers.evaluation.numbers_panel import write_numbers
from producers.evaluation.report import EvaluationReport
from producers.model.errors import OutputError
from sonic_base.errors import ConfigError

if TYPE_CHECKING:
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

        from producers.evaluation import display_panel, panels  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "plots need matplotlib and mplhep: pip install 'sonic-tracking[plot]'"
        ) from error
    figure = Figure(figsize=(18.4, 12.4), layout="constrained")
    grid = figure.add_gridspec(3, 4)
    counts, least = report.counts, report.criteria.min_candidate_space_points
    for column, variable in enumerate(BIN_EDGES):
        panels.draw_efficiency(figure.add_subplot(grid[0, column]), report, variable)
        panels.draw_rates(figure.add_subplot(grid[1, column]), counts, variable)
    panels.draw_sizes(figure.add_subplot(grid[2, 0]), counts, least)
    panels.draw_fake_rate(figure.add_subplot(grid[2, 1]), counts, least)
    for axes in figure.axes:
        axes.tick_params(which="both", direction="in", top=True, right=True)
        axes.minorticks_on()
    if report.edges:
        panels.draw_stages(figure.add_subplot(grid[2, 2]), report)
    numbers = grid[0, 3] if display is not None else grid[:2, 3]
    write_numbers(figure.add_subplot(numbers), report)
    if display is not None:
        for row, view in enumerate(("xy", "rz"), start=1):
            axes = figure.add_subplot(grid[row, 3])
            display_panel.draw_display(axes, display, view)
    figure.suptitle(_title(report), fontsize=13)
    return figure


def _title(report: EvaluationReport) -> str:
    model, weights = (report.provenance.get(key) for key in ("model", "weights_id"))
    name = model.get("name") if isinstance(model, dict) else model
    by_model = f" by {name}" if name else ""
    by_model += f", weights {weights}" if weights else ""
    n_events = report.counts.n_events
    mean = report.counts.n_space_points / max(n_events, 1)
    return (
        f"Track finding{by_model}: {n_events} events of {mean:,.0f} space points "
        "on average"
    )


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
