"""Weights from events with truth."""

from __future__ import annotations

import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from exatrkx_pipeline.checkpoints import read_weights_config
from exatrkx_pipeline.config import config_from_dict, config_to_dict
from exatrkx_pipeline.training.events import TrainingEvent
from exatrkx_pipeline.training.recipe import TrainingRecipe
from exatrkx_pipeline.training.schedule import LearningCurve
from exatrkx_pipeline.training.train import TrainedPipeline, train
from producers import TruthEvents, open_events
from producers.evaluation import EvaluationReport
from sonic_cli.jobs.learning_plot import plot_learning_curves
from sonic_cli.jobs.training_events import read_events
from sonic_cli.jobs.validation import score_tracks, scores_to_dict
from sonic_cli.jobs.weights_folder import check_folder, write_weights
from sonic_cli.outputs import check_outputs, whole_path
from sonic_cli.progress import Report, progress
from sonic_client import ConfigError, SonicError

__all__ = ["TrainingJob", "TrainingResult", "run_training"]


class TrainingFailedError(SonicError):
    """The loss is no number any more: the weights are of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What `sonic train` was asked for; see its options."""

    events: tuple[Path, ...]
    truth: tuple[Path, ...]
    output: Path
    recipe: Path | None = None
    seed: int | None = None
    threads: int | None = None
    plot: Path | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """Weights, and how well they do on the events kept for validation."""

    output: Path
    weights_id: str
    n_events: int
    curves: tuple[LearningCurve, ...]
    scores: EvaluationReport
    elapsed_s: float

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, ready for a table."""
        rows = [
            (f"loss, {curve.stage}", f"{curve.losses[-1]:.4g} in {curve.seconds:.0f} s")
            for curve in self.curves
            if curve.losses
        ]
        return [
            (
                "events",
                f"{self.n_events}, for validation {self.scores.counts.n_events}",
            ),
            *rows,
            ("efficiency", str(self.scores.efficiency())),
            ("fake rate", str(self.scores.fake_rate())),
            ("elapsed", f"{self.elapsed_s:.0f} s"),
            ("weights", f"{self.weights_id} in {self.output}"),
        ]


def run_training(job: TrainingJob) -> TrainingResult:
    """Train all networks, score them, and write a weights directory.

    Raises
    ------
    ConfigError, PipelineConfigError
        If the recipe is wrong, or asks for more events than there are.
    DataError
        If an input is wrong, or an output must not or cannot be written.
    TrainingFailedError
        If a loss is not finite.
    """
    started = time.perf_counter()
    check_folder(job.output, force=job.force)
    check_outputs(
        {"--plot": job.plot}, inputs=(*job.events, *job.truth), force=job.force
    )
    recipe = _read_recipe(job)
    source, truth = open_events(job.events), TruthEvents(job.truth)
    if len(source) <= recipe.n_validation:
        raise ConfigError(
            f"need more than {recipe.n_validation} events, for so many are kept for "
            f"validation; got {len(source)}"
        )
    if job.threads is not None:
        torch.set_num_threads(job.threads)
    events, validation = read_events(source, truth, recipe.n_validation)
    trained = _train(events, recipe)
    scores = score_tracks(trained.pipeline, validation)
    elapsed_s = time.perf_counter() - started
    write_weights(
        job.output,
        trained.pipeline,
        training=_how(job, recipe, len(source), trained, elapsed_s),
        scores=scores_to_dict(scores),
    )
    if job.plot is not None:
        with whole_path(job.plot) as partial:
            plot_learning_curves(trained.curves, partial)
    return TrainingResult(
        output=job.output,
        weights_id=read_weights_config(job.output)["weights_id"],
        n_events=len(source),
        curves=trained.curves,
        scores=scores,
        elapsed_s=elapsed_s,
    )


def _read_recipe(job: TrainingJob) -> TrainingRecipe:
    recipe = TrainingRecipe()
    if job.recipe is not None:
        try:
            table = tomllib.loads(job.recipe.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{job.recipe}: cannot read: {error.strerror}") from error
        except ValueError as error:  # bad TOML or bad UTF-8
            raise ConfigError(f"{job.recipe}: not a TOML file: {error}") from error
        recipe = config_from_dict(TrainingRecipe, table)
    return recipe if job.seed is None else replace(recipe, seed=job.seed)


def _train(events: list[TrainingEvent], recipe: TrainingRecipe) -> TrainedPipeline:
    with _StageProgress() as stages:
        try:
            return train(events, recipe, stages)
        except FloatingPointError as error:
            raise TrainingFailedError(str(error)) from error


class _StageProgress:
    """A bar for each stage, opened when the one before it is done."""

    def __init__(self) -> None:
        self._stage = ""
        self._bars = ExitStack()

    def __enter__(self) -> _StageProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.close()

    def __call__(self, stage: str, step: int, n_steps: int, loss: float) -> None:
        if stage != self._stage:
            self._bars.close()
            self._stage = stage
            self._report: Report = self._bars.enter_context(
                progress(f"train {stage}", n_steps, unit="steps")
            )
        self._report(step, f"loss {loss:.4g}")


# Any: TOML values of several kinds.
def _how(
    job: TrainingJob,
    recipe: TrainingRecipe,
    n_events: int,
    trained: TrainedPipeline,
    elapsed_s: float,
) -> dict[str, Any]:
    """What it takes to make the weights again; nothing that another day changes."""
    return {
        "seed": recipe.seed,
        "n_events": n_events,
        "event_files": [path.name for path in job.events],
        "truth_files": [path.name for path in job.truth],
        "n_threads": torch.get_num_threads(),
        "elapsed_s": round(elapsed_s, 1),
        "recipe": config_to_dict(recipe),
        "stages": {
            curve.stage: {
                "elapsed_s": round(curve.seconds, 1),
                "losses": [round(loss, 6) for loss in curve.losses],
            }
            for curve in trained.curves
        },
    }
