"""Servers, and NVIDIA's client and stubs to question them with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype

from mock_server import MockServer, Model, TensorSpec


@pytest.fixture
def serve() -> Iterator[Callable[..., MockServer]]:
    """Starts servers, which stop at the end of the test."""
    with ExitStack() as stack:
        yield lambda *models, **options: stack.enter_context(
            MockServer(models, **options)
        )


@pytest.fixture
def connect(serve) -> Iterator[Callable[[MockServer], InferenceServerClient]]:
    """Connects tritonclient; asks for `serve` so as to be closed before it."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(
            closing(InferenceServerClient(server.url.removeprefix("grpc://")))
        )


@pytest.fixture
def stub_of(serve) -> Iterator[Callable[[MockServer], Any]]:
    """Bare stub, for requests that tritonclient refuses to make."""
    with ExitStack() as stack:

        def open_stub(server: MockServer) -> Any:
            address = server.url.removeprefix("grpc://")
            channel = stack.enter_context(grpc.insecure_channel(address))
            return service_pb2_grpc.GRPCInferenceServiceStub(channel)

        yield open_stub


@pytest.fixture(scope="session")
def tensor() -> Callable[[str, np.ndarray], InferInput]:
    """Request input of an array."""

    def make(name: str, array: np.ndarray) -> InferInput:
        made = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        return made.set_data_from_numpy(array)

    return make


@pytest.fixture
def double() -> Model:
    """Y = 2 X, for any number of rows of three."""
    return Model(
        name="double",
        inputs=[TensorSpec("X", "FP32", (-1, 3))],
        outputs=[TensorSpec("Y", "FP32", (-1, 3))],
        function=lambda tensors: {"Y": 2 * tensors["X"]},
    )
