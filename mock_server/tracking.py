"""The tracking pipeline as models of the mock server, as a real Triton serves it."""

from pathlib import Path

from mock_server.models import Model, TensorSpec


def tracking_models(weights: Path) -> list[Model]:
    """`exatrkx` and `exatrkx_batch`, running the weights of a directory.

    Loads torch, which nothing else in this package does.

    Raises
    ------
    ImportError
        If the extra ``pipeline`` is not installed.
    ValueError
        If the weights cannot be used; the message says why.
    """
    from exatrkx_pipeline.checkpoints import load_weights  # noqa: PLC0415
    from exatrkx_pipeline.serving import served_models  # noqa: PLC0415

    return [
        Model(
            name=served.name,
            inputs=[TensorSpec(*spec) for spec in served.inputs],
            outputs=[TensorSpec(*spec) for spec in served.outputs],
            function=served.function,
            parameters=served.parameters,
        )
        for served in served_models(load_weights(weights))
    ]
