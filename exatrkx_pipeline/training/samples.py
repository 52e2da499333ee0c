"""Events by the sample that they are of, some of each kept for validation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.training.events import TrainingEvent


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """Events of one kind: of one mean pileup, say."""

    training: Sequence[TrainingEvent]

    validation: Sequence[TrainingEvent]
    """Never trained on: for radius, cut and validation loss."""


def events_of(
    samples: Mapping[str, TrainingSample], names: Sequence[str], what: str
) -> TrainingSample:
    """The events of these samples together, in this order; of all if none is named.

    Parameters
    ----------
    samples : mapping of str to TrainingSample
    names : sequence of str
    what : str
        Who takes them, for the message.

    Raises
    ------
    PipelineConfigError
        If there is no sample of a name.
    """
    require_known(samples, names, what)
    chosen = [samples[name] for name in names or samples]
    return TrainingSample(
        [event for sample in chosen for event in sample.training],
        [event for sample in chosen for event in sample.validation],
    )


def require_known(samples: Collection[str], names: Sequence[str], what: str) -> None:
    """Refuse the name of a sample that there is not; see `events_of`."""
    unknown = [name for name in names if name not in samples]
    if unknown:
        raise PipelineConfigError(
            f"{what}: no sample {unknown[0]!r}, there are {', '.join(samples)}"
        )
