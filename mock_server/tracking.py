"""The tracking pipeline as models of the mock server, as a real Triton serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mock_server.errors import invalid
from mock_server.model.declaration import AnyArray, Model, TensorSpec
from mock_server.model.functions import Arrays

if TYPE_CHECKING:
    from exatrkx_pipeline import StageClock

__all__ = ["tracking_models"]

Tensors: TypeAlias = Mapping[str, AnyArray]


def tracking_models(
    weights: Path, clock: StageClock | None = None, *, instances: int = 1
) -> list[Model]:
    """Return `exatrkx` and `exatrkx_batch`, running the weights of a directory.

    It loads torch, which nothing else in this package does. The first time on a machine
    it compiles for up to a minute.

    Parameters
    ----------
    weights : Path
        As written by a training.
    clock : StageClock, optional
        Receives the time that each stage of the pipeline takes.
    instances : int
        How many events are computed at once.

    Raises
    ------
    ImportError
        If the extra ``pipeline`` is not installed.
    ValueError
        If the weights cannot be used; the message says why.
    """
    from exatrkx_pipeline.serving import served_models, warm_up  # noqa: PLC0415
    from exatrkx_pipeline.weights import load_weights  # noqa: PLC0415

    pipeline = load_weights(weights)
    for served in served_models(pipeline):  # without the clock: no event is timed
        warm_up(served)
    return [
        Model(
            name=served.name,
            inputs=[TensorSpec(*spec) for spec in served.inputs],
            outputs=[TensorSpec(*spec) for spec in served.outputs],
            function=_refusing(served.function),
            parameters=served.parameters,
            instances=instances,
        )
        for served in served_models(pipeline, clock)
    ]


def _refusing(function: Callable[[Tensors], Arrays]) -> Callable[[Tensors], Arrays]:
    """Return a model that answers INVALID_ARGUMENT to input that no server takes.

    As the ``model.py`` of a real Triton does; any other exception stays INTERNAL.
    """

    def checked(tensors: Tensors) -> Arrays:
        try:
            return function(tensors)
        except ValueError as error:
            raise invalid(str(error)) from error

    return checked
