"""Track finding: sends space points, gets a label for each, returns candidates."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from producers.model.candidates import CandidateChunk, TrackCandidates
from producers.model.errors import InvalidEventError
from producers.model.event import Event, EventChunk
from producers.model.features import FEATURE_NAMES, FeatureScale, node_features
from sonic_base import ConfigError
from sonic_base.input_range import InputCheck, InputRange
from sonic_client import (
    InvalidAnswerError,
    Mismatch,
    ModelMetadata,
    Tensors,
    TensorSpec,
)

__all__ = ["TrackFindingProducer"]

logger = logging.getLogger(__name__)

_FEATURES = TensorSpec("FEATURES", "FP32", (-1, 3))
_LABELS = TensorSpec("LABELS", "INT64", (-1,))


class TrackFindingProducer:
    """Finds tracks with a model that labels space points.

    Parameters
    ----------
    metadata : ModelMetadata
        The server's description of the model, which must take ``FEATURES
        FP32[-1,3]``, return ``LABELS INT64[-1]`` and declare its feature scale.
    min_space_points : int
        Components with fewer space points are left out.
    any_input : bool
        Whether events are sent that are far from those of the weights' training.
    unit : {"mm", "cm", "m", "um"}
        What the files were read as; errors name it if another one would explain the
        positions. Those of the events are in mm.

    Attributes
    ----------
    input_check : InputCheck or None
        What events are compared with before they are sent; None if the model does not
        declare what it was trained on, or `any_input` is set.

    Raises
    ------
    ConfigError
        If the model has other tensors, declares no scale or a wrong range of its
        input, or the number is below one.
    """

    def __init__(
        self,
        metadata: ModelMetadata,
        *,
        min_space_points: int = 3,
        any_input: bool = False,
        unit: str = "mm",
    ) -> None:
        if min_space_points < 1:
            raise ConfigError(
                f"min_space_points must be at least 1, got {min_space_points}"
            )
        _require_tensor(metadata, "input", metadata.inputs, _FEATURES)
        _require_tensor(metadata, "output", metadata.outputs, _LABELS)
        self.model_name = metadata.name
        self.scale = FeatureScale.from_parameters(metadata.name, metadata.parameters)
        self.min_space_points = min_space_points
        self.input_check = (
            None
            if any_input
            else _input_check(metadata.name, metadata.parameters, self.scale, unit)
        )

    def prepare(self, chunk: EventChunk) -> EventChunk:
        """Return the chunk with the features of all its events.

        Without them, if one of its events may not be sent: `acquire` finds out which.
        """
        try:
            features = node_features(chunk.xyz, self.scale)
        except ValueError:  # not finite
            return chunk
        check = self.input_check
        if check and not check.needs_no_closer_look(features, chunk.row_splits):
            return chunk
        return replace(chunk, features=features)

    def acquire(self, event: Event) -> Tensors:
        """Return the features of the event, computed here if not prepared.

        Raises
        ------
        InvalidEventError
            If a position is not finite.
        InputRangeError
            If the event is far from all that the weights were trained on; the message
            names the likely cause.
        """
        features = event.features
        if features is None:
            try:
                features = node_features(event.xyz, self.scale)
            except ValueError as error:
                raise InvalidEventError(
                    event.source,
                    event_id=event.event_id,
                    entry=event.entry,
                    reason=str(error),
                ) from error
            if self.input_check is not None:
                self.input_check.require(features)
        return {_FEATURES.name: features}

    def produce(self, event: Event, outputs: Tensors) -> TrackCandidates:
        """Return the candidates; no space points give none.

        Raises
        ------
        InvalidAnswerError
            If the model labelled more or fewer space points than there are.
        """
        return TrackCandidates.from_components(
            self.accept(event, outputs),
            event.xyz,
            min_space_points=self.min_space_points,
        )

    def accept(self, event: Event, outputs: Tensors) -> NDArray[np.int64]:
        """Return the labels of an event, kept until its chunk is complete.

        Raises
        ------
        InvalidAnswerError
            As `produce`.
        """
        labels: NDArray[np.int64] = outputs[_LABELS.name]
        if labels.shape != (len(event),):
            expected = replace(_LABELS, shape=(len(event),)).form
            got = replace(_LABELS, shape=labels.shape).form
            raise InvalidAnswerError(
                model=self.model_name,
                server="the server",
                mismatches=[Mismatch(_LABELS.name, expected, got)],
            )
        return labels

    def produce_chunk(
        self, chunk: EventChunk, kept: Sequence[NDArray[np.int64] | None]
    ) -> CandidateChunk:
        """Return the candidates of all events; an event without labels has none."""
        labels = [
            np.full(n_points, -1) if own is None else own
            for own, n_points in zip(kept, np.diff(chunk.row_splits), strict=True)
        ]
        return CandidateChunk.from_components(
            np.concatenate(labels),
            chunk.xyz,
            chunk.row_splits,
            min_space_points=self.min_space_points,
        )


def _input_check(
    model: str, parameters: Mapping[str, str], scale: FeatureScale, unit: str
) -> InputCheck | None:
    text = parameters.get("input_range")
    if text is None:
        logger.debug(
            "model %r does not declare what it was trained on: events are not "
            "compared with it",
            model,
        )
        return None
    where = f"model {model!r}: parameter 'input_range'"
    known = InputRange.from_text(text, where=where)
    return InputCheck(known, FEATURE_NAMES, scale.divisors, unit=unit)


def _require_tensor(
    metadata: ModelMetadata, kind: str, has: tuple[TensorSpec, ...], wanted: TensorSpec
) -> None:
    if not any(spec.name == wanted.name and spec.form == wanted.form for spec in has):
        listed = ", ".join(map(str, has)) or "none"
        raise ConfigError(
            f"model {metadata.name!r} cannot find tracks: expected {kind} {wanted}, "
            f"its {kind}s are {listed}"
        )
