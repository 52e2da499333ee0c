"""The steps of an ensemble, and which of them a request needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mock_server.model.written_form import as_written


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Step:
    """One model of an ensemble (``ModelEnsembling.Step``)."""

    model_name: str

    model_version: int = -1
    """-1: the highest."""

    input_map: Mapping[str, str] = field(default_factory=dict)
    """Tensor of the ensemble, by input of the model."""

    output_map: Mapping[str, str] = field(default_factory=dict)
    """Tensor of the ensemble, by output of the model. Others are dropped."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_map", dict(self.input_map))
        object.__setattr__(self, "output_map", dict(self.output_map))

    def __repr__(self) -> str:
        return as_written(self)


@dataclass(frozen=True, slots=True, repr=False)
class Ensemble:
    """What a `Model` may have for a function: other models of the same server.

    A step runs as soon as its inputs are there.

    Raises
    ------
    ValueError
        If there is no step, or a tensor comes from two of them.
    """

    steps: Sequence[Step]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        made = [name for step in self.steps for name in step.output_map.values()]
        twice = sorted({name for name in made if made.count(name) > 1})
        if not self.steps:
            raise ValueError("an ensemble needs a step")
        if twice:
            raise ValueError(f"tensors made by two steps: {', '.join(twice)}")

    def __repr__(self) -> str:
        return as_written(self)

    def needed_steps(self, outputs: Iterable[str], wanted: Iterable[str]) -> list[int]:
        """Numbers of the steps that a request for some of the outputs needs.

        Parameters
        ----------
        outputs : iterable of str
            All outputs of the ensemble.
        wanted : iterable of str
            Those asked for; none means all.

        Notes
        -----
        Triton's rule, with its fault (``EnsembleContext`` in ``ensemble_scheduler.cc``
        of triton-inference-server/core): a step is left out if nobody needs what it
        makes, and then so is one which makes what only the former would have used,
        even if it makes an output that is asked for as well.
        """
        unwanted = set(outputs) - set(wanted) if set(wanted) else set()
        needed = set(range(len(self.steps)))
        ignored = unwanted - self._used_by(needed)
        while ignored:
            pruned = {
                number
                for number in needed
                if set(self.steps[number].output_map.values()) <= ignored
            }
            if not pruned:
                break
            needed -= pruned
            ignored |= self._used_by(pruned) - self._used_by(needed)
        return sorted(needed)

    def _used_by(self, numbers: Iterable[int]) -> set[str]:
        """Tensors that go into these steps."""
        return {
            name for number in numbers for name in self.steps[number].input_map.values()
        }
