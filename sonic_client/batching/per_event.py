"""One message a request, as it is."""

from __future__ import annotations

from collections.abc import Sequence

from sonic_client.batching.base import CheckedRequest, check_request
from sonic_client.batching.rows import empty_rows, find_row_mismatches
from sonic_client.config import BatchingConfig
from sonic_client.errors import Mismatch
from sonic_client.types import ModelMetadata, Request, Tensors

__all__ = ["PerEventLayout"]


class PerEventLayout:
    """One message a request: right for every model, and a cloud is never cut.

    Outputs with a free first axis must have as many rows as one of the inputs
    with a free first axis, unless they are among `variable_outputs`.
    """

    max_events = 1
    max_bytes = 0
    max_batch_size = 0
    fills_up = False

    def __init__(self, metadata: ModelMetadata, config: BatchingConfig) -> None:
        self._metadata = metadata
        self._specs = metadata.inputs
        self._row_inputs = [s.name for s in metadata.inputs if s.shape[:1] == (-1,)]
        self._row_outputs = frozenset(
            spec.name
            for spec in metadata.outputs
            if spec.shape[:1] == (-1,) and not config.is_variable(spec.name)
        )

        self._empty = empty_rows(metadata.outputs, self._row_outputs)

    def check(self, request: Request) -> CheckedRequest:
        """Compare a request with the model's metadata."""
        return check_request(
            request,
            self._specs,
            self._metadata,
            max_batch_size=self._metadata.max_batch_size,
        )

    def join(self, batch: Sequence[CheckedRequest]) -> Tensors:
        """Return the only request's inputs, which are not copied."""
        (only,) = batch
        return only.request.inputs

    def find_row_mismatches(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> list[Mismatch]:
        """Name the outputs that have the rows of no input."""
        (only,) = batch
        inputs = only.request.inputs
        allowed = [len(inputs[name]) for name in self._row_inputs if name in inputs]
        if not allowed:
            return []
        return find_row_mismatches(outputs, allowed, names=self._row_outputs)

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest]
    ) -> Sequence[Tensors]:
        """Return the outputs as those of the only request."""
        return [outputs]

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of a request without rows; None if they may have some."""
        inputs = item.request.inputs
        if any(len(inputs[name]) for name in self._row_inputs & inputs.keys()):
            return None
        return self._empty if self._row_inputs else None

    def cut(self, item: CheckedRequest, max_batch_size: int) -> list[CheckedRequest]:
        """Return the request whole."""
        return [item]
