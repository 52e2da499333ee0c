"""Weights from events with truth."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from exatrkx_pipeline.config import config_to_dict
from exatrkx_pipeline.training.checkpoint import EVERY_N_STEPS, LearningCurve
from exatrkx_pipeline.training.train import TrainedPipeline, check_plan, train_on
from exatrkx_pipeline.weights.storage import read_weights_config
from producers.evaluation import EvaluationReport
from sonic_client import SonicError
from sonic_tracking.jobs.learning_plot import plot_learning_curves
from sonic_tracking.jobs.stage_progress import StageProgress
from sonic_tracking.jobs.training_folder import training_folder
from sonic_tracking.jobs.training_recipe import JobRecipe, read_recipe
from sonic_tracking.jobs.training_samples import OpenSample
from sonic_tracking.jobs.validation import score_samples, scores_to_dict
from sonic_tracking.jobs.weights_folder import check_folder, write_weights
from sonic_tracking.outputs import check_interrupted, check_outputs, whole_path

__all__ = ["TrainingJob", "TrainingResult", "run_training"]


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
                (f"efficiency{of}", str(score.efficiency())),
                (f"fake rate{of}", str(score.fake_rate())),
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
        "recipe": config_to_dict(planned.recipe),
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
