"""The tracking pipeline as models of the mock server, as a real Triton serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mock_server.errors import invalid
from mock_server.model.declaration import Model, TensorSpec

if TYPE_CHECKING:
    from exatrkx_pipeline import StageClock

__all__ = ["tracking_models"]


def tracking_models(
    weights: Path | str,
    clock: StageClock | None = None,
    *,
    instances: int = 1,
    any_input: bool = False,
) -> list[Model]:
    """Return `exatrkx` and `exatrkx_batch`, running the weights of a directory.

    It loads torch, which nothing else in this package does. The first time on a machine
    it compiles for up to a minute.

    Parameters
    ----------
    weights : Path or str
        A directory that a training wrote, or the name of bundled weights.
    clock : StageClock, optional
        Receives the time that each stage of the pipeline takes.
    instances : int
        How many events are computed at once.
    any_input : bool
        Whether events are answered that are far from those of the weights' training.

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
    if any_input:
        pipeline = pipeline.with_checks(lambda _: None)
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


# Any: tensors of several types.
_Arrays = Mapping[str, NDArray[Any]]


def _refusing(
    function: Callable[[_Arrays], dict[str, NDArray[Any]]],
) -> Callable[[_Arrays], dict[str, NDArray[Any]]]:
    """Answer wrong tensors as the Python backend's model does: INVALID_ARGUMENT."""

    @wraps(function)
    def answer(inputs: _Arrays) -> dict[str, NDArray[Any]]:
        try:
            return function(inputs)
        except ValueError as error:
            raise invalid(str(error)) from error

    return answer
