"""What a layout is: how requests become messages, and answers theirs again.

All of it is pure: nothing here sends or waits.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sonic_client.errors import Mismatch, TensorMismatchError
from sonic_client.tensor_checks import find_input_mismatches
from sonic_client.types import (
    ModelMetadata,
    Request,
    Tensors,
    TensorSpec,
    payload_bytes,
)

__all__ = [
    "BatchingLayout",
    "CheckedRequest",
    "check_request",
    "refuse_request",
    "required",
]


@dataclass(slots=True, eq=False, kw_only=True)
class CheckedRequest:
    """A request that was compared with the model's metadata.

    Attributes
    ----------
    request : Request
    n_rows : int
        Length of the first input's first axis.
    n_bytes : int
        Size that its tensors have in a message; 0 if it will not be sent.
    batch_size : int
        What it adds to the message's batch dimension, where the model has one.
    kind : hashable
        Only requests of one kind may share a message: those of one shape, where
        the layout stacks them.
    error : TensorMismatchError or None
        Why it cannot be sent.
    """

    request: Request
    n_rows: int = 0
    n_bytes: int = 0
    batch_size: int = 1
    kind: Hashable = None
    error: TensorMismatchError | None = None


class BatchingLayout(Protocol):
    """How requests are laid out in messages of one model.

    Attributes
    ----------
    max_events, max_bytes : int
        Configured bounds of one message. A single request may exceed the bytes.
    max_batch_size : int
        Declared bound of the batch dimension; 0 if there is none.
    fills_up : bool
        Whether each request takes as many bytes of a message as the largest.
    """

    max_events: int
    max_bytes: int
    max_batch_size: int
    fills_up: bool

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata."""
        ...

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the inputs of one message, of requests of one kind."""
        ...

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs whose rows are not those of the inputs."""
        ...

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return the outputs of each request, as views."""
        ...

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of a request without rows; None if they may have some."""
        ...

    def cut(self, item: CheckedRequest, max_batch_size: int) -> list[CheckedRequest]:
        """Return parts of one request that each fit the batch dimension.

        Only the item itself, unless its rows are independent of each other.
        """
        ...


def check_request(
    request: Request,
    specs: Sequence[TensorSpec],
    metadata: ModelMetadata,
    *,
    max_batch_size: int = 0,
) -> CheckedRequest:
    """Compare a request with what its model's inputs are.

    Parameters
    ----------
    specs : sequence of TensorSpec
        What one request must give; not always what a message has.
    max_batch_size : int
        Bound of the first axis, or 0 for none.
    """
    mismatches = find_input_mismatches(
        request.inputs, specs, max_batch_size=max_batch_size
    )
    if mismatches:
        return refuse_request(request, mismatches, metadata)
    first = request.inputs.get(specs[0].name) if specs else None
    return CheckedRequest(
        request=request,
        n_rows=len(first) if first is not None and first.ndim else 0,
        n_bytes=payload_bytes(request.inputs),
    )


def refuse_request(
    request: Request, mismatches: Sequence[Mismatch], metadata: ModelMetadata
) -> CheckedRequest:
    """Return the request with the error that keeps it from being sent."""
    error = TensorMismatchError(model=metadata.name, mismatches=mismatches)
    return CheckedRequest(request=request, error=error)


def required(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Return the inputs with none optional: a batch must agree on which it has."""
    return tuple(replace(spec, optional=False) for spec in specs)
