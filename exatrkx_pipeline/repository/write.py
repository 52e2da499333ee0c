"""A model repository on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from exatrkx_pipeline.checkpoints import weights_files
from exatrkx_pipeline.repository.config_text import config_text
from exatrkx_pipeline.repository.plan import WEIGHTS_FOLDER, ModelPlan

__all__ = ["write_repository"]

VERSION = "1"
MODEL_SOURCE = '''\
"""Written by `sonic repository`; the work is done in the installed package."""

from exatrkx_pipeline.serving.python_backend import python_model

TritonPythonModel = python_model("{name}")
'''


def write_repository(
    directory: Path, plans: Iterable[ModelPlan], weights: Path | None = None
) -> None:
    """Write the models, each in a folder of its name; other models there stay.

    Parameters
    ----------
    directory : Path
        Made if it does not exist. A model of the same name is replaced, when the new
        one is whole.
    plans : iterable of ModelPlan
        As of `plan_repository`.
    weights : Path, optional
        As given there.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{directory.name}-", dir=directory.resolve().parent
    ) as made:
        for plan in plans:
            _write_model(Path(made) / plan.name, plan, weights)
            target = directory / plan.name
            if target.exists():
                shutil.rmtree(target)
            (Path(made) / plan.name).rename(target)


def _write_model(folder: Path, plan: ModelPlan, weights: Path | None) -> None:
    version = folder / VERSION
    version.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config_text(plan))
    if plan.steps:
        # Triton wants a folder for the version, and git keeps no empty one.
        (version / ".gitkeep").touch()
        return
    (version / "model.py").write_text(MODEL_SOURCE.format(name=plan.name))
    if plan.own_weights:
        assert weights is not None  # the plan was made with them
        copy = version / WEIGHTS_FOLDER
        copy.mkdir()
        for file in weights_files(weights):
            shutil.copyfile(file, copy / file.name)
