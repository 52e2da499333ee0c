"""The tracking pipeline as models of the mock server, as a real Triton serves it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mock_server.model.declaration import Model, TensorSpec

if TYPE_CHECKING:
    from exatrkx_pipeline import StageClock


def tracking_models(
    weights: Path, clock: StageClock | None = None, *, instances: int = 1
) -> list[Model]:
    """`exatrkx` and `exatrkx_batch`, running the weights of a directory.

    Loads torch, which nothing else in this package does. A `clock` receives the time
    that each stage of the pipeline takes; `instances` events are computed at once. The
    first time on a machine this compiles for up to a minute.

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
    for served in served_models(pipeline):  # with no clock: this is no event's time
        warm_up(served)
    return [
        Model(
            name=served.name,
            inputs=[TensorSpec(*spec) for spec in served.inputs],
            outputs=[TensorSpec(*spec) for spec in served.outputs],
            function=served.function,
            parameters=served.parameters,
            instances=instances,
        )
        for served in served_models(pipeline, clock)
    ]
