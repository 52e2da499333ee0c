"""Coroutine tests, and the models they talk about."""

import asyncio
import inspect

import numpy as np
import pytest

from sonic_client import ClientConfig, ModelMetadata, Request, RetryConfig, TensorSpec


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run tests that are coroutine functions in an event loop of their own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def metadata():
    """A model with one label per row."""
    return ModelMetadata(
        name="label",
        version="3",
        platform="python",
        inputs=(TensorSpec("FEATURES", "FP32", (-1, 3)),),
        outputs=(TensorSpec("LABELS", "INT64", (-1,)),),
    )


@pytest.fixture
def batch_metadata(metadata):
    """The same model for several events in one message."""
    return ModelMetadata(
        name="label_batch",
        version="3",
        platform="python",
        inputs=(*metadata.inputs, TensorSpec("ROW_SPLITS", "INT64", (-1,))),
        outputs=metadata.outputs,
    )


@pytest.fixture
def make_request():
    """A request whose features all hold its number."""

    def make(number, n_rows=2):
        return Request(number, {"FEATURES": np.full((n_rows, 3), number, np.float32)})

    return make


@pytest.fixture
def config():
    """Without waits between tries, so that no test takes long."""
    return ClientConfig(
        servers="fake:8001",
        model_name="label",
        retry=RetryConfig(allowed_tries=3, first_wait_s=0.0),
    )


@pytest.fixture
def echo_rows():
    """Answer with the first feature of every row, as a label."""

    async def respond(call):
        return {"LABELS": call.inputs["FEATURES"][:, 0].astype(np.int64)}

    return respond
