"""A bounded record of the requests that a server received, for tests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from mock_server.wire.codec import decode
from mock_server.wire.inference import InferenceRequest, ParameterValue

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """An inference request as it arrived; it may have been refused afterwards."""

    number: int
    """1 for the first that the server received."""

    model_name: str

    model_version: str
    """As the client wrote it; empty: the highest."""

    id: str

    shapes: Mapping[str, Shape]
    """By input, batch dimension included."""

    parameters: Mapping[str, ParameterValue]
    """Those for the model."""

    # Any: arrays of every datatype.
    inputs: Mapping[str, NDArray[Any]] | None = field(default=None, repr=False)
    """Arrays by input, if the record keeps them. An input whose data does not fill its
    shape is missing."""


class RequestRecord:
    """The last requests of a server; may be used from any thread.

    Parameters
    ----------
    max_requests : int
        Older ones are forgotten, but `count` includes them.
    keep_inputs : bool
        Whether the arrays are kept too.
    """

    def __init__(self, max_requests: int = 1000, *, keep_inputs: bool = False) -> None:
        self._lock = threading.Lock()
        self._requests: deque[ReceivedRequest] = deque(maxlen=max_requests)
        self._count = 0
        self._keep_inputs = keep_inputs

    @property
    def count(self) -> int:
        """Requests in all, forgotten ones included."""
        return self._count

    def requests(self) -> tuple[ReceivedRequest, ...]:
        """Requests that are still known, in the order of arrival."""
        with self._lock:
            return tuple(self._requests)

    def clear(self) -> None:
        """Forget all requests, and count from 1 again."""
        with self._lock:
            self._requests.clear()
            self._count = 0

    def add(self, request: InferenceRequest) -> None:
        """Record a request that has arrived."""
        inputs = _arrays(request) if self._keep_inputs else None
        with self._lock:
            self._count += 1
            self._requests.append(
                ReceivedRequest(
                    number=self._count,
                    model_name=request.model_name,
                    model_version=request.model_version,
                    id=request.id,
                    shapes={tensor.name: tensor.shape for tensor in request.inputs},
                    parameters=dict(request.parameters),
                    inputs=inputs,
                )
            )


def _arrays(request: InferenceRequest) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, datatype, shape, data in request.inputs:
        try:
            arrays[name] = decode(data, datatype, shape)
        except (KeyError, ValueError):  # unknown datatype, or too little data
            continue
    return arrays
