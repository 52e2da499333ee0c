"""An answer is compared with the model and the request, and split by event."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from sonic_client.batching import BatchingLayout, CheckedRequest, find_output_mismatches
from sonic_client.config import AnswersConfig
from sonic_client.errors import InvalidAnswerError, Mismatch, NonFiniteAnswerError
from sonic_client.report.observer import NonFiniteFound, Observer
from sonic_client.types import ModelMetadata, Tensors, TensorSpec

__all__ = ["AnswerChecker", "EventOutputs"]

EventOutputs: TypeAlias = Tensors | InvalidAnswerError
"""One event's part of an answer: its outputs, or why they are not accepted."""

logger = logging.getLogger(__name__)


class AnswerChecker:
    """Splits the answers to messages by event, if they are what the model declares.

    Parameters
    ----------
    observer : Observer
        Is told of NaN and infinite values.
    """

    def __init__(
        self,
        metadata: ModelMetadata,
        layout: BatchingLayout,
        config: AnswersConfig,
        *,
        observer: Observer,
    ) -> None:
        self._metadata, self._layout, self._config = metadata, layout, config
        self._observer = observer
        self._checked_outputs = (
            frozenset()
            if config.nonfinite == "off"
            else frozenset(s.name for s in metadata.outputs if _is_floating(s))
        )
        self._warned: set[str] = set()

    def split(
        self, outputs: Tensors, batch: Sequence[CheckedRequest], *, server: str
    ) -> list[EventOutputs]:
        """Return each event's part, in order.

        Raises
        ------
        InvalidAnswerError
            If tensors are missing, or have other types, shapes or rows than the
            inputs ask for, because then no event has a part. Also if the only event
            is not accepted.
        """
        specs = self._metadata.outputs
        mismatches = find_output_mismatches(outputs, specs)
        if not mismatches:
            outputs = {spec.name: outputs[spec.name] for spec in specs}
            mismatches = self._layout.find_row_mismatches(outputs, batch)
        if mismatches:
            raise InvalidAnswerError(
                model=self._metadata.name, server=server, mismatches=mismatches
            )
        parts: Sequence[Tensors] = self._layout.split(outputs, batch)
        if self._config.writable:
            parts = [_copies(part) for part in parts]
        for name in self._checked_outputs:
            if not np.isfinite(outputs[name]).all():
                break
        else:
            return list(parts)
        # Checked again by event, because padding does not count.
        checked = [self._without_nonfinite(part, server) for part in parts]
        if len(checked) == 1 and isinstance(checked[0], InvalidAnswerError):
            raise checked[0]
        return checked

    def empty_outputs(self, item: CheckedRequest) -> Tensors | None:
        """Return the outputs of an event without rows; None if only a server can.

        Outputs with as many rows as the inputs have none, whatever the model is.
        """
        if item.n_rows or self._config.send_empty:
            return None
        return self._layout.empty_outputs(item)

    def _without_nonfinite(self, part: Tensors, server: str) -> EventOutputs:
        mismatches = []
        for name in sorted(self._checked_outputs):
            array = part[name]
            n_values = array.size - int(np.count_nonzero(np.isfinite(array)))
            if not n_values:
                continue
            self._observer.nonfinite_found(
                NonFiniteFound(output=name, n_values=n_values, server=server)
            )
            got = f"{n_values} NaN or infinite of {array.size}"
            mismatches.append(Mismatch(name, "numbers", got))
        if not mismatches:
            return part
        error = NonFiniteAnswerError(
            model=self._metadata.name, server=server, mismatches=mismatches
        )
        if self._config.nonfinite == "raise":
            return error
        if self._config.nonfinite == "warn":
            self._warn_once(error)
        return part

    def _warn_once(self, error: InvalidAnswerError) -> None:
        new = {mismatch.tensor for mismatch in error.mismatches} - self._warned
        if new:
            self._warned |= new
            logger.warning("%s; further ones are only counted", error)


def _is_floating(spec: TensorSpec) -> bool:
    return spec.datatype in ("FP16", "FP32", "FP64", "BF16")


def _copies(outputs: Tensors) -> Tensors:
    return {
        name: array.astype(array.dtype.newbyteorder("="), copy=True)
        for name, array in outputs.items()
    }
