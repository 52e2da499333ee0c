"""Weights from events with truth: read, trained, scored, written."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.training import (
    EVERY_N_STEPS,
    CheckpointFolder,
    JobRecipe,
    LearningCurve,
    SampleFiles,
    TrainedPipeline,
    TrainingEvent,
    TrainingSample,
    check_plan,
    read_recipe,
    train_on,
)
from exatrkx_pipeline.weights import measure_input_range, read_weights_config
from producers import (
    ColumnMapping,
    Event,
    EventSource,
    FeatureScale,
    TrackCandidates,
    TruthEvent,
    TruthEvents,
    TruthMapping,
    UnequalEventsError,
    node_features,
    open_events,
)
from producers.evaluation import (
    Criteria,
    EvaluationCounts,
    EvaluationReport,
    Ratio,
    count_event,
    count_stage_edges,
    events_with_truth,
)
from producers.io import (
    job_of,
    new_partial_folder,
    output_errors,
    partial_folder,
    write_picture,
)
from sonic_base import ConfigError, SonicError, config_to_mapping
from sonic_base.input_range import InputCheck
from sonic_tracking.columns import PointColumns, TruthColumns, point_columns
from sonic_tracking.columns import truth_columns as columns_of_truth
from sonic_tracking.errors import needs_extra
from sonic_tracking.jobs.evaluate import kept_edges, no_edges
from sonic_tracking.jobs.weights import check_folder, write_weights
from sonic_tracking.outputs import Json, check_interrupted, check_outputs
from sonic_tracking.progress import Report, progress_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TrainingResult", "train"]

logger = logging.getLogger(__name__)

PathLike = str | Path

MIN_SPACE_POINTS = 3
"""A smaller component is no candidate in the scores."""

MEASURED_EVENTS, MEASURED_POINTS = 200, 2_000_000
"""Most events of a sample, and about the most space points in them, on which the range
of the training is measured."""

THREADS = "n_threads"
"""In the folder of checkpoints: the job's file, and its key for the threads."""

TRAINING, VALIDATION = "#3f72af", "#d1495b"
"""Colours of the learning curves, distinct in grey, too."""


class TrainingFailedError(SonicError):
    """The loss is not a finite number: the weights are of no use."""


def train(
    output: PathLike,
    *,
    events: PathLike | Sequence[PathLike] = (),
    truth: PathLike | Sequence[PathLike] = (),
    recipe: PathLike | None = None,
    start_from: PathLike | None = None,
    columns: PointColumns = None,
    truth_columns: TruthColumns = None,
    unit: str | None = None,
    seed: int | None = None,
    threads: int | None = None,
    plot: PathLike | None = None,
    checkpoint_every: int = EVERY_N_STEPS,
    resume: bool = False,
    force: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Train embedding, edge filter and GNN: ``sonic train`` as a function.

    The last events of each sample are not trained on: they choose the cuts and give
    the scores that the folder records.

    Parameters
    ----------
    output : path
        Folder for the weights.
    events, truth : path, or sequence of paths
        ROOT files of the space points and of their truth, in the same order, unless
        the recipe names samples.
    recipe : path or name, optional
        TOML file of samples, networks and schedules, or a recipe of the package.
    start_from : path or name, optional
        Weights to start from; by default random ones.
    columns : ColumnMapping, mapping, or path of a TOML file, optional
        The tree and branches of the events of all samples.
    truth_columns : TruthMapping, mapping, or path of a TOML file, optional
        The trees and branches of their truth, in the table ``truth`` of the file.
    unit : {"mm", "cm", "m", "um"}, optional
        Unit of positions and vertices in the files of all samples; by default that of
        `columns` and `truth_columns`, or else mm.
    seed : int, optional
        In place of the recipe's.
    threads : int, optional
        Threads of torch; by default all cores.
    plot : path, optional
        Picture of the learning curves: png, pdf or svg.
    checkpoint_every : int
        Steps between two saved states.
    resume : bool
        Go on from what an interrupted training left in ``<output>.partial``.
    force : bool
        Whether outputs that exist are replaced.
    progress : bool
        Whether to show the progress on stderr.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ConfigError
        If the recipe is wrong, or asks for more events than there are.
    DataError
        If an input is wrong, or an output must not or cannot be written.
    TrainingFailedError
        If a loss is not finite.
    WeightsError
        If the weights to start from, or a checkpoint, cannot be used.
    MissingExtraError
        If hist or scipy (extra ``plot``), which the scores need, is not installed.

    Examples
    --------
    >>> from sonic_tracking import train
    >>> result = train("weights/", events="events.root", truth="truth.root")
    >>> result.scores["events"].efficiency
    """
    with needs_extra("plot"):
        import hist.intervals  # noqa: F401, PLC0415 - before the hours of work
    started = time.perf_counter()
    output, plot = Path(output), None if plot is None else Path(plot)
    check_folder(output, force=force)
    check_interrupted(output, resume=resume, force=force)
    planned = read_recipe(
        None if recipe is None else Path(recipe),
        events=_paths(events),
        truth=_paths(truth),
        start_from=None if start_from is None else Path(start_from),
        seed=seed,
    )
    inputs = [Path(path) for each in planned.samples for path in each.events]
    inputs += [Path(path) for each in planned.samples for path in each.truth]
    check_outputs({"plot": plot}, inputs=tuple(inputs), force=force)
    names = [sample.name for sample in planned.samples]
    check_plan(planned.recipe, names, planned.start)
    n_validation = planned.recipe.n_validation
    reading = _Reading(
        point_columns(columns, is_optional=True), columns_of_truth(truth_columns), unit
    )
    opened = {
        each.name: _OpenSample.of(each, n_validation, reading)
        for each in planned.samples
    }
    remarks = [each for sample in opened.values() for each in sample.truth.remarks]
    for remark in dict.fromkeys(remarks):
        logger.warning("%s", remark)
    if threads is not None:
        torch.set_num_threads(threads)
    how = _how(planned, opened) | reading.to_dict()
    with _training_folder(
        output, how, resume=resume, every_n_steps=checkpoint_every
    ) as checkpoints:
        read = {name: each.read(progress=progress) for name, each in opened.items()}
        with _StageProgress(is_shown=progress) as stages:
            try:
                trained = train_on(
                    {name: sample.events for name, sample in read.items()},
                    planned.recipe,
                    stages,
                    start=planned.start,
                    checkpoints=checkpoints,
                )
            except FloatingPointError as error:
                raise TrainingFailedError(str(error)) from error
        scores = {
            name: _score(name, trained.pipeline, sample.validation, progress=progress)
            for name, sample in read.items()
            if sample.validation
        }
        write_weights(
            output,
            _with_range(trained.pipeline, read.values()),
            training={**how, **_learned(trained)},
            scores=_scores_to_dict(scores),
        )
    if plot is not None:
        plot_learning_curves(trained.curves, plot)
    return TrainingResult(
        output=output,
        weights_id=read_weights_config(output)["weights_id"],
        n_events=sum(len(sample.source) for sample in opened.values()),
        curves=trained.curves,
        scores=scores,
        elapsed_s=time.perf_counter() - started,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Trained weights, and their scores on the events kept for validation."""

    output: Path
    """Folder of the weights."""

    weights_id: str
    n_events: int
    curves: tuple[LearningCurve, ...]
    scores: Mapping[str, EvaluationReport]
    """By sample."""

    elapsed_s: float

    def __repr__(self) -> str:
        return f"<TrainingResult: weights {self.weights_id} in {self.output}>"

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a table."""
        rows = [("events", str(self.n_events))]
        for curve in self.curves:
            if curve.losses:
                text = f"{curve.losses[-1]:.4g} in {curve.seconds:.0f} s"
                if curve.validation:
                    text += f", of validation events {curve.validation[-1]:.4g}"
                rows.append((f"loss, {curve.stage}", text))
        for name, score in self.scores.items():
            of = f", {name}" if len(self.scores) > 1 else ""
            rows += [
                (f"validation events{of}", str(score.counts.n_events)),
                (f"efficiency{of}", str(score.efficiency)),
                (f"fake rate{of}", str(score.fake_rate)),
            ]
        return [
            *rows,
            ("elapsed", f"{self.elapsed_s:.0f} s"),
            ("weights", f"{self.weights_id} in {self.output}"),
        ]


def _paths(given: PathLike | Sequence[PathLike]) -> tuple[Path, ...]:
    return (Path(given),) if isinstance(given, str | Path) else tuple(map(Path, given))


def _how(planned: JobRecipe, opened: Mapping[str, _OpenSample]) -> Json:
    """Return what the weights depend on, which is the same on any day."""
    start = planned.start
    return {
        "seed": planned.recipe.seed,
        "n_threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **({} if start is None else {"start_from": start.weights_id}),
        "samples": [
            {
                "name": name,
                "events": [Path(path).name for path in sample.source.names],
                "truth": [Path(path).name for path in sample.truth.paths],
                "n_events": len(sample.source),
                "n_training": sample.n_training,
                "n_validation": sample.n_validation,
            }
            for name, sample in opened.items()
        ],
        "recipe": config_to_mapping(planned.recipe),
    }


def _learned(trained: TrainedPipeline) -> Json:
    return {
        "elapsed_s": round(sum(curve.seconds for curve in trained.curves), 1),
        "stages": {
            curve.stage: {
                "elapsed_s": round(curve.seconds, 1),
                "losses": [round(loss, 6) for loss in curve.losses],
                "validation_losses": [round(loss, 6) for loss in curve.validation],
            }
            for curve in trained.curves
        },
    }


class _Reading(NamedTuple):
    """How the files of all samples are read."""

    columns: ColumnMapping | None
    truth: TruthMapping | None
    unit: str | None

    def to_dict(self) -> Json:
        """Return what is not the default, as plain values for TOML."""
        return {
            name: value if isinstance(value, str) else config_to_mapping(value)
            for name, value in self._asdict().items()
            if value is not None
        }


@dataclass(frozen=True, slots=True)
class _ReadSample:
    """The events of a sample; those for validation also as they were read."""

    events: TrainingSample
    validation: list[tuple[Event, TruthEvent]]


@dataclass(frozen=True, slots=True)
class _OpenSample:
    """Files that were opened, but not read: mistakes are found before the work."""

    files: SampleFiles
    source: EventSource
    truth: TruthEvents
    n_training: int
    n_validation: int

    @classmethod
    def of(
        cls, files: SampleFiles, n_validation: int, reading: _Reading
    ) -> _OpenSample:
        """Open a sample; `n_validation` applies if the sample does not have its own.

        Raises
        ------
        ConfigError
            If it has too few events.
        DataError
            If a file is wrong.
        """
        source = open_events(files.events, columns=reading.columns, unit=reading.unit)
        truth = TruthEvents(files.truth, columns=reading.truth, unit=reading.unit)
        if files.n_validation is not None:
            n_validation = files.n_validation
        n_training = files.n_training or max(len(source) - n_validation, 1)
        if len(source) < n_training + n_validation:
            wanted = (
                f"more than {n_validation} events"
                if files.n_training is None
                else f"{n_training} events to train on"
            )
            raise ConfigError(
                f"sample {files.name!r}: need {wanted}, because {n_validation} are "
                f"kept for validation; got {len(source)}"
            )
        return cls(files, source, truth, n_training, n_validation)

    def read(self, *, progress: bool) -> _ReadSample:
        """Read the first events for training and the last ones for validation.

        Raises
        ------
        UnequalEventsError
            If the truth has other events, or lacks a particle.
        """
        n_events = len(self.source)
        training: list[TrainingEvent] = []
        validation: list[tuple[Event, TruthEvent]] = []
        what = f"read {self.files.name}"
        with progress_bar(what, n_events, unit="events", is_shown=progress) as show:
            pairs = events_with_truth(self.source, self.truth)
            for number, (event, truth) in enumerate(pairs):
                if number < self.n_training:
                    training.append(_training_event(event, truth))
                elif number >= n_events - self.n_validation:
                    validation.append((event, truth))
                show(number + 1)
        kept = [_training_event(event, truth) for event, truth in validation]
        return _ReadSample(TrainingSample(training, kept), validation)


def _with_range(pipeline: Pipeline, samples: Iterable[_ReadSample]) -> Pipeline:
    """Return the pipeline with the range of its training events, as they were read."""
    config = pipeline.config.features
    measured = measure_input_range(
        pipeline,
        (
            event.scaled(config)
            for sample in samples
            for event in _some(sample.events.training)
        ),
    )
    check = InputCheck(measured, config.names, config.scales)
    return replace(pipeline, input_check=check)


def _some(events: Sequence[TrainingEvent]) -> Sequence[TrainingEvent]:
    """Return events evenly spaced, so few that finding their tracks takes minutes."""
    n_points = sum(map(len, events))
    n_events = min(
        len(events),
        MEASURED_EVENTS,
        1 + MEASURED_POINTS * len(events) // max(n_points, 1),
    )
    places = np.linspace(0, len(events) - 1, n_events).round().astype(int)
    return [events[place] for place in np.unique(places)]


def _training_event(event: Event, truth: TruthEvent) -> TrainingEvent:
    particles, of_point = truth.particles, truth.particle_id
    by_id = np.argsort(particles.particle_id)
    known = np.isin(of_point, particles.particle_id)
    if (~known & (of_point != 0)).any():
        unknown = of_point[~known & (of_point != 0)][0]
        raise UnequalEventsError(
            f"truth of event {truth.event_id}: particle {unknown} of a space point "
            "is not listed"
        )
    row = np.full(len(event), -1, dtype=np.int64)
    row[known] = by_id[
        np.searchsorted(particles.particle_id, of_point[known], sorter=by_id)
    ]
    return TrainingEvent.from_arrays(
        event.xyz, row, particles.momentum_gev, particles.vertex_or_origin_mm
    )


class _StageProgress:
    """A progress bar for each stage of the training, one after another."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._stage = ""
        self._bars = ExitStack()

    def __enter__(self) -> _StageProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.close()

    def __call__(self, stage: str, step: int, n_steps: int, loss: float) -> None:
        """Show the step; see `exatrkx_pipeline.training.optimisation.Progress`."""
        if stage != self._stage:
            self._bars.close()
            self._stage = stage
            self._report: Report = self._bars.enter_context(
                progress_bar(
                    f"train {stage}", n_steps, unit="steps", is_shown=self._is_shown
                )
            )
        self._report(step, f"loss {loss:.4g}")


def _score(
    name: str,
    pipeline: Pipeline,
    events: Sequence[tuple[Event, TruthEvent]],
    *,
    progress: bool,
) -> EvaluationReport:
    """Find the tracks of the events, and compare them with the truth.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    criteria, scale = Criteria(), FeatureScale(*pipeline.config.features.scales)
    counts, edges = EvaluationCounts(), no_edges()
    with progress_bar(
        f"score {name}", len(events), unit="events", is_shown=progress
    ) as show:
        for done, (event, truth) in enumerate(events, start=1):
            run = pipeline.run(node_features(event.xyz, scale))
            candidates = TrackCandidates.from_components(
                run.labels, event.xyz, min_space_points=MIN_SPACE_POINTS
            )
            counts += count_event(candidates, truth, criteria, event.xyz)
            kept = kept_edges(pipeline, run, candidates)
            found = count_stage_edges(kept, event, truth, criteria)
            edges = {stage: edges[stage] + found[stage] for stage in edges}
            show(done)
    return EvaluationReport(counts=counts, criteria=criteria, edges=edges)


def _scores_to_dict(scores: Mapping[str, EvaluationReport]) -> Json:
    """Return plain values for TOML: of all samples together, and of each of several."""
    together = _one_to_dict(_together(scores.values()))
    if len(scores) > 1:
        together["samples"] = {
            name: _one_to_dict(each) for name, each in scores.items()
        }
    return together


def _together(reports: Iterable[EvaluationReport]) -> EvaluationReport:
    total = EvaluationReport(
        counts=EvaluationCounts(), criteria=Criteria(), edges=no_edges()
    )
    for report in reports:
        total = replace(
            total,
            counts=total.counts + report.counts,
            edges={s: total.edges[s] + report.edges[s] for s in total.edges},
        )
    return total


def _one_to_dict(scores: EvaluationReport) -> Json:
    ratios = {
        "efficiency": scores.efficiency,
        "fake_rate": scores.fake_rate,
        "duplicate_rate": scores.duplicate_rate,
        "displaced_efficiency": scores.displaced_efficiency,
    }
    return {
        "n_events": scores.counts.n_events,
        "n_space_points": scores.counts.n_space_points,
        "particles": str(scores.criteria),
        **{name: _plain(ratio) for name, ratio in ratios.items()},
        "edges": {
            stage.replace(" ", "_"): {
                "efficiency": _plain(edges.efficiency),
                "purity": _plain(edges.purity),
            }
            for stage, edges in scores.edges.items()
        },
    }


def _plain(ratio: Ratio) -> Json:
    # TOML has no null.
    return {k: v for k, v in ratio.to_dict().items() if v is not None}


@contextmanager
def _training_folder(
    output: Path, job: Mapping[str, Any], *, resume: bool, every_n_steps: int
) -> Iterator[CheckpointFolder]:
    """Give the folder of checkpoints; it is deleted when the block has succeeded.

    An interruption leaves it if it holds a checkpoint.

    Parameters
    ----------
    output : Path
    job : mapping
        What the result depends on, as plain values for JSON: a training that is
        resumed must have the same, except for the number of threads, which changes
        the last bits.
    resume : bool
        Whether to go on from a folder that exists; otherwise it is deleted.
    every_n_steps : int

    Raises
    ------
    ConfigError
        If the folder belongs to another training; names the difference.
    UnreadableFileError
        If it is damaged.
    OutputError
        If it cannot be written.
    """
    folder = partial_folder(output)
    if folder.is_dir() and resume:
        _require_same_job(folder, job)
    else:
        new_partial_folder(output, job)
    try:
        with output_errors(output):
            yield CheckpointFolder(folder, every_n_steps)
    except BaseException:
        if not any(folder.glob("*.safetensors")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _require_same_job(folder: Path, job: Mapping[str, Any]) -> None:
    before = _flat(job_of(folder))
    now = _flat(json.loads(json.dumps(job)))
    for name in sorted({*before, *now}):
        was, is_now = before.get(name), now.get(name)
        if was == is_now:
            continue
        if name == THREADS:
            logger.warning(
                "the training began with %s threads and goes on with %s: the weights' "
                "last bits will differ",
                was,
                is_now,
            )
            continue
        raise ConfigError(
            f"{folder}: left by another training: {name} was {was!r}, is {is_now!r}; "
            "--force (force=True) begins anew"
        )


def _flat(table: Mapping[str, Any], where: str = "") -> Json:
    """Return nested tables as one, with names like ``recipe.gnn.n_steps``."""
    flat: Json = {}
    for name, value in table.items():
        path = f"{where}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


def plot_learning_curves(curves: Sequence[LearningCurve], path: Path) -> None:
    """Draw the mean loss over each twentieth of each stage, and that of validation.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    OutputError
        If the picture cannot be written.
    """
    with needs_extra("plot"):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    figure = Figure(figsize=(4.4 * len(curves), 3.6), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for axis, curve in zip(axes, curves, strict=True):
        _draw(axis, curve)
    axes[0].set_ylabel("loss")
    write_picture(path, figure, dpi=130)


def _draw(axes: Axes, curve: LearningCurve) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - an extra

    n_parts = len(curve.losses)
    share = [100.0 * (part + 1) / n_parts for part in range(n_parts)]
    # A training loss is the mean over a part: it belongs to the middle of the part.
    middle = [each - 50.0 / n_parts for each in share]
    axes.plot(
        middle, curve.losses, "o-", color=TRAINING, markersize=3.5, label="training"
    )
    if curve.validation:
        axes.plot(
            share,
            curve.validation,
            "s--",
            color=VALIDATION,
            markersize=3.5,
            label="validation",
        )
    duration = curve.seconds
    spent = f"{duration:.0f} s" if duration < 120.0 else f"{duration / 60.0:.0f} min"
    axes.set_title(f"{curve.stage}, {spent}", fontsize=11)
    axes.set_xlabel("steps [%]")
    axes.set_xlim(0.0, 102.0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", direction="in", top=True, right=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
