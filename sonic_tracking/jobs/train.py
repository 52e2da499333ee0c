"""Weights from events with truth."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline.training.checkpoint import (
    EVERY_N_STEPS,
    CheckpointFolder,
    LearningCurve,
)
from exatrkx_pipeline.training.events import TrainingEvent
from exatrkx_pipeline.training.recipe_file import JobRecipe, SampleFiles, read_recipe
from exatrkx_pipeline.training.samples import TrainingSample
from exatrkx_pipeline.training.train import TrainedPipeline, check_plan, train_on
from exatrkx_pipeline.weights.storage import read_weights_config
from producers import (
    Event,
    EventSource,
    TrackCandidates,
    TruthEvent,
    TruthEvents,
    UnequalEventsError,
    open_events,
)
from producers.evaluation import (
    Criteria,
    EvaluationCounts,
    EvaluationReport,
    Ratio,
    count_event,
)
from producers.io import partial_folder
from producers.model.errors import OutputError, UnreadableFileError
from producers.model.features import node_features
from sonic_base import ConfigError, SonicError, config_to_mapping
from sonic_tracking.commands.printing import print_warning
from sonic_tracking.errors import needs_extra
from sonic_tracking.jobs.evaluate import (
    count_edges_of_event,
    edges_of_run,
    events_with_truth,
    feature_scale,
    no_edges,
)
from sonic_tracking.jobs.weights import check_folder, write_weights
from sonic_tracking.outputs import check_interrupted, check_outputs, whole_path
from sonic_tracking.progress import Report, progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "OpenSample",
    "ReadSample",
    "StageProgress",
    "TrainingJob",
    "TrainingResult",
    "plot_learning_curves",
    "run_training",
    "score_samples",
    "scores_to_dict",
    "training_folder",
]


class TrainingFailedError(SonicError):
    """The loss is no number any more: the weights are of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What `sonic train` was asked for; see its options."""

    events: tuple[Path, ...] = ()
    truth: tuple[Path, ...] = ()
    output: Path
    recipe: Path | None = None
    start_from: Path | None = None
    seed: int | None = None
    threads: int | None = None
    plot: Path | None = None
    resume: bool = False
    checkpoint_every: int = EVERY_N_STEPS
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Weights, and how well they do on the events kept for validation."""

    output: Path
    weights_id: str
    n_events: int
    curves: tuple[LearningCurve, ...]
    scores: Mapping[str, EvaluationReport]
    """By sample."""

    elapsed_s: float

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, ready for a table."""
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


def run_training(job: TrainingJob) -> TrainingResult:
    """Train networks, score them, and write a weights directory.

    Raises
    ------
    ConfigError, PipelineConfigError
        If the recipe is wrong, or asks for more events than there are.
    DataError
        If an input is wrong, or an output must not or cannot be written.
    TrainingFailedError
        If a loss is not finite.
    WeightsError
        If the weights to start from, or a checkpoint, cannot be used.
    """
    started = time.perf_counter()
    check_folder(job.output, force=job.force)
    check_interrupted(job.output, resume=job.resume, force=job.force)
    planned = read_recipe(
        job.recipe,
        events=job.events,
        truth=job.truth,
        start_from=job.start_from,
        seed=job.seed,
    )
    inputs = [Path(path) for each in planned.samples for path in each.events]
    inputs += [Path(path) for each in planned.samples for path in each.truth]
    check_outputs({"--plot": job.plot}, inputs=tuple(inputs), force=job.force)
    names = [sample.name for sample in planned.samples]
    check_plan(planned.recipe, names, planned.start)
    n_validation = planned.recipe.n_validation
    opened = {each.name: OpenSample.of(each, n_validation) for each in planned.samples}
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    how = _how(planned, opened)
    with training_folder(
        job.output, how, resume=job.resume, every_n_steps=job.checkpoint_every
    ) as checkpoints:
        read = {name: sample.read() for name, sample in opened.items()}
        with StageProgress() as stages:
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
        scores = score_samples(
            trained.pipeline, {name: each.validation for name, each in read.items()}
        )
        write_weights(
            job.output,
            trained.pipeline,
            training={**how, **_learned(trained)},
            scores=scores_to_dict(scores),
        )
    if job.plot is not None:
        with whole_path(job.plot) as partial:
            plot_learning_curves(trained.curves, partial)
    return TrainingResult(
        output=job.output,
        weights_id=read_weights_config(job.output)["weights_id"],
        n_events=sum(len(sample.source) for sample in opened.values()),
        curves=trained.curves,
        scores=scores,
        elapsed_s=time.perf_counter() - started,
    )


# Any: TOML values of several kinds.
def _how(planned: JobRecipe, opened: Mapping[str, OpenSample]) -> dict[str, Any]:
    """What it takes to make the weights again; nothing that another day changes."""
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


# Any: TOML values of several kinds.
def _learned(trained: TrainedPipeline) -> dict[str, Any]:
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


MIN_SPACE_POINTS = 3


def score_samples(
    pipeline: Pipeline, samples: Mapping[str, Sequence[tuple[Event, TruthEvent]]]
) -> dict[str, EvaluationReport]:
    """Find the tracks of each sample's events, and compare them with the truth.

    Samples without events are left out.

    Raises
    ------
    UnequalEventsError
        If a space point is on a particle that the truth does not list.
    """
    return {
        name: _score(name, pipeline, events)
        for name, events in samples.items()
        if events
    }


def _score(
    name: str, pipeline: Pipeline, events: Sequence[tuple[Event, TruthEvent]]
) -> EvaluationReport:
    criteria, scale = Criteria(), feature_scale(pipeline)
    counts, edges = EvaluationCounts(), no_edges()
    with progress(f"score {name}", len(events), unit="events") as report:
        for done, (event, truth) in enumerate(events, start=1):
            run = pipeline.run(node_features(event.xyz, scale))
            candidates = TrackCandidates.from_components(
                run.labels, event.xyz, min_space_points=MIN_SPACE_POINTS
            )
            counts += count_event(candidates, truth, criteria, event.xyz)
            kept = edges_of_run(pipeline, run, candidates)
            found = count_edges_of_event(kept, event, truth, criteria)
            edges = {stage: edges[stage] + found[stage] for stage in edges}
            report(done)
    return EvaluationReport(counts=counts, criteria=criteria, edges=edges)


# Any: TOML values of several kinds.
def scores_to_dict(scores: Mapping[str, EvaluationReport]) -> dict[str, Any]:
    """What weights say of themselves; plain values for TOML, which has no null.

    All samples together, and where there are several, each of them.
    """
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


# Any: TOML values of several kinds.
def _one_to_dict(scores: EvaluationReport) -> dict[str, Any]:
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


def _plain(ratio: Ratio) -> dict[str, Any]:
    return {k: v for k, v in ratio.to_dict().items() if v is not None}


@dataclass(frozen=True, slots=True)
class ReadSample:
    """The events of a sample, and those for validation also as they are."""

    events: TrainingSample
    validation: list[tuple[Event, TruthEvent]]


@dataclass(frozen=True, slots=True)
class OpenSample:
    """Files that were looked into, before any is read: a wrong one is found at once."""

    files: SampleFiles
    source: EventSource
    truth: TruthEvents
    n_training: int
    n_validation: int

    @classmethod
    def of(cls, files: SampleFiles, n_validation: int) -> OpenSample:
        """Open a sample, `n_validation` of it for validation if it does not say.

        Raises
        ------
        ConfigError
            If it has too few events.
        DataError
            If a file is wrong.
        """
        source, truth = open_events(files.events), TruthEvents(files.truth)
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
                f"sample {files.name!r}: need {wanted}, for {n_validation} are kept "
                f"for validation; got {len(source)}"
            )
        return cls(files, source, truth, n_training, n_validation)

    def read(self) -> ReadSample:
        """Read the first events for training and the last ones for validation.

        Raises
        ------
        UnequalEventsError
            If the truth is of other events, or lacks a particle.
        """
        n_events = len(self.source)
        training: list[TrainingEvent] = []
        validation: list[tuple[Event, TruthEvent]] = []
        with progress(f"read {self.files.name}", n_events, unit="events") as report:
            pairs = events_with_truth(self.source, self.truth)
            for number, (event, truth) in enumerate(pairs):
                if number < self.n_training:
                    training.append(_training_event(event, truth))
                elif number >= n_events - self.n_validation:
                    validation.append((event, truth))
                report(number + 1)
        kept = [_training_event(event, truth) for event, truth in validation]
        return ReadSample(TrainingSample(training, kept), validation)


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
        event.xyz, row, particles.momentum_gev, particles.vertex_mm
    )


class StageProgress:
    """A bar for each stage, opened when the one before it is done."""

    def __init__(self) -> None:
        self._stage = ""
        self._bars = ExitStack()

    def __enter__(self) -> StageProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.close()

    def __call__(self, stage: str, step: int, n_steps: int, loss: float) -> None:
        """Show the step; see `exatrkx_pipeline.training.optimisation.Progress`."""
        if stage != self._stage:
            self._bars.close()
            self._stage = stage
            self._report: Report = self._bars.enter_context(
                progress(f"train {stage}", n_steps, unit="steps")
            )
        self._report(step, f"loss {loss:.4g}")


JOB = "job.json"
THREADS = "n_threads"


@contextmanager
def training_folder(
    output: Path, job: Mapping[str, Any], *, resume: bool, every_n_steps: int
) -> Iterator[CheckpointFolder]:
    """The folder while the training runs; taken away when the block has succeeded.

    An interruption leaves it, if there is something in it to go on from.

    Parameters
    ----------
    output : Path
    job : mapping
        What the result depends on, as plain values for JSON: a training that goes on
        must have the same, but for the number of threads, which changes last bits.
    resume : bool
        Whether to go on from what is there; else it is thrown away.
    every_n_steps : int

    Raises
    ------
    ConfigError
        If what is there is of another training; names what differs.
    UnreadableFileError
        If what is there is damaged.
    OutputError
        If it cannot be written.
    """
    folder = partial_folder(output)
    if folder.is_dir() and resume:
        _require_same_job(folder, job)
    else:
        _make(folder, job, output)
    try:
        yield CheckpointFolder(folder, every_n_steps)
    except BaseException as error:
        if not any(folder.glob("*.safetensors")):
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, SonicError):
            reason = f"cannot write: {error.strerror or error}"
            raise OutputError(folder, reason) from error
        raise
    shutil.rmtree(folder, ignore_errors=True)


# Any: JSON values of several kinds.
def _make(folder: Path, job: Mapping[str, Any], output: Path) -> None:
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir()
        (folder / JOB).write_text(json.dumps(job, indent=1), encoding="utf-8")
    except OSError as error:
        raise OutputError(output, f"cannot write: {error.strerror}") from error


def _require_same_job(folder: Path, job: Mapping[str, Any]) -> None:
    path = folder / JOB
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise UnreadableFileError(path, f"damaged: {error}") from error
    now = _flat(json.loads(json.dumps(job)))
    for name in sorted({*before, *now}):
        was, is_now = before.get(name), now.get(name)
        if was == is_now:
            continue
        if name == THREADS:
            print_warning(
                f"the training began with {was} threads and goes on with {is_now}: the "
                "weights' last bits will be others"
            )
            continue
        raise ConfigError(
            f"{folder}: left by another training: {name} was {was!r}, is {is_now!r}; "
            "--force begins anew"
        )


def _flat(table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested tables as one, with names like ``recipe.gnn.n_steps``."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        path = f"{where}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


TRAINING, VALIDATION = "#3f72af", "#d1495b"  # told apart in grey, too


def plot_learning_curves(curves: Sequence[LearningCurve], path: Path) -> None:
    """Draw the mean loss over each twentieth of each stage, and that of validation.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    with needs_extra("plot"):
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    figure = Figure(figsize=(4.4 * len(curves), 3.6), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for axis, curve in zip(axes, curves, strict=True):
        _draw(axis, curve)
    axes[0].set_ylabel("loss")
    figure.savefig(path, dpi=130)


def _draw(axes: Axes, curve: LearningCurve) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - an extra

    n_parts = len(curve.losses)
    share = [100.0 * (part + 1) / n_parts for part in range(n_parts)]
    # A point of training is a mean over the part before it: at the part's middle.
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
    axes.set_title(f"{curve.stage}, {_duration(curve.seconds)}", fontsize=11)
    axes.set_xlabel("steps [%]")
    axes.set_xlim(0.0, 102.0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", direction="in", top=True, right=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"
