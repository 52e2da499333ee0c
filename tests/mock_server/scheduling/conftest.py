"""Requests that wait, at times of the test's own."""

from collections.abc import Callable

import pytest

from mock_server.scheduling.queue import PendingRequest
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import InferenceRequest

MS = 1_000_000


@pytest.fixture(scope="session")
def pending() -> Callable[..., PendingRequest]:
    """Makes a request of some rows; `answers` collects what it is answered."""

    def make(request_id="", *, at_ms=0, rows=1, width=3, answers=None, **fields):
        x = RawTensor("X", "FP32", (rows, width), bytes(4 * rows * width))
        request = InferenceRequest(
            model_name="m", id=str(request_id), inputs=(x,), **fields
        )
        return PendingRequest(
            request,
            lambda response, is_final: (
                None if answers is None else answers.append(response)
            ),
            batch_size=rows,
            arrived_ns=at_ms * MS,
        )

    return make


@pytest.fixture(scope="session")
def ids() -> Callable[..., list[str]]:
    """Ids of requests, in their order."""
    return lambda batch: [each.request.id for each in batch]
