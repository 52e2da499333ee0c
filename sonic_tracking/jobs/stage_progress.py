"""How far each stage of a training is."""

from __future__ import annotations

from contextlib import ExitStack

from sonic_tracking.progress import Report, progress

__all__ = ["StageProgress"]


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
