"""A served model as a user declares it: names, tensors, and the code that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from mock_server.errors import ModelError
from mock_server.model.batching import Declaration, DynamicBatching, SequenceBatching
from mock_server.wire.codec import DATATYPES, RawTensor
from mock_server.wire.inference import InferenceRequest, InferenceResponse, Respond

AnyArray = NDArray[Any]
"""An array of any element type."""

Tensors = Mapping[str, AnyArray]
ModelFunction = Callable[[Tensors], Tensors]

FREE = -1
"""A dimension of any size, 0 included."""


def dims_text(dims: Sequence[int]) -> str:
    """Return dimensions as Triton writes them: ``[-1,3]``."""
    return "[" + ",".join(map(str, dims)) + "]"


@dataclass(frozen=True, slots=True, repr=False)
class TensorSpec(Declaration):
    """One input or output of a model. As text: ``FEATURES FP32[-1,3]``.

    Raises
    ------
    ValueError
        If the name is empty, the datatype unknown, or a dimension below -1.
    """

    name: str

    datatype: str
    """KServe's name: ``FP32``, ``INT64``, ``BYTES``, ..."""

    shape: tuple[int, ...]
    """Without the batch dimension; -1 is a free dimension."""

    is_optional: bool = False
    """For an input: a request may leave it out."""

    labels: tuple[str, ...] = ()
    """For an output: names of its classes, for the classification extension."""

    reshape: tuple[int, ...] | None = None
    """Shape that the model sees, if it differs from `shape`: the same number of
    elements and of free dimensions."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.reshape is not None:
            object.__setattr__(self, "reshape", tuple(self.reshape))
        if not self.name:
            raise ValueError("a tensor needs a name")
        if self.datatype not in DATATYPES:
            raise ValueError(
                f"tensor {self.name!r}: unknown datatype {self.datatype!r}, "
                f"expected one of {', '.join(sorted(DATATYPES))}"
            )
        if any(dim < FREE for dim in self.shape):
            raise ValueError(
                f"tensor {self.name!r}: dimensions must be at least -1, "
                f"got {dims_text(self.shape)}"
            )

    def __str__(self) -> str:
        return f"{self.name} {self.datatype}{dims_text(self.shape)}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Step(Declaration):
    """One model of an ensemble (``ModelEnsembling.Step``)."""

    model_name: str

    model_version: int = -1
    """-1 means the highest."""

    input_map: Mapping[str, str] = field(default_factory=dict)
    """Tensor of the ensemble, by input of the model."""

    output_map: Mapping[str, str] = field(default_factory=dict)
    """Tensor of the ensemble, by output of the model. Other outputs are dropped."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_map", dict(self.input_map))
        object.__setattr__(self, "output_map", dict(self.output_map))


@dataclass(frozen=True, slots=True, repr=False)
class Ensemble(Declaration):
    """A model made of other models of the same server.

    A step runs as soon as its inputs are there.

    Raises
    ------
    ValueError
        If there is no step, or two steps make the same tensor.
    """

    steps: Sequence[Step]

    max_inflight_requests: int = 0
    """Requests of all callers together that each step runs at once; 0 for no limit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        made = [name for step in self.steps for name in step.output_map.values()]
        twice = sorted({name for name in made if made.count(name) > 1})
        if not self.steps:
            raise ValueError("an ensemble needs a step")
        if twice:
            raise ValueError(f"tensors made by two steps: {', '.join(twice)}")

    def needed_steps(self, outputs: Iterable[str], wanted: Iterable[str]) -> list[int]:
        """Return the numbers of the steps that a request for some outputs needs.

        Parameters
        ----------
        outputs : iterable of str
            All outputs of the ensemble.
        wanted : iterable of str
            The requested ones; none means all.

        Notes
        -----
        This is Triton's rule, with its fault (``EnsembleContext`` in
        ``ensemble_scheduler.cc`` of triton-inference-server/core): a step whose
        outputs nobody needs is left out, and then so is a step that makes what only
        the former would have used, even if it makes a requested output as well.
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
        """Return the tensors that these steps take as inputs."""
        return {
            name for number in numbers for name in self.steps[number].input_map.values()
        }


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """One request of a batch, as an instance gets it."""

    request: InferenceRequest
    """Checked; includes the control inputs of its sequence."""

    respond: Respond
    """Must be called until a response was the last one: by `Instance.execute` or, for
    a decoupled model, at any later time and from any thread. Outputs that were not
    requested, or that the model does not declare, are dropped."""


class Instance(Protocol):
    """One copy of a model; one thread at a time calls it."""

    def execute(self, batch: Sequence[Execution]) -> None:
        """Answer all requests of a batch.

        Raises
        ------
        BaseException
            Any: requests without a last response yet get it as their answer.
        """

    def finalize(self) -> None:
        """Release everything: there will be no more batches."""


@runtime_checkable
class Backend(Protocol):
    """Starts the instances of a model, in place of its function."""

    def start(self, model: Model, instance_name: str, device_id: int) -> Instance:
        """Make one instance of a model, with a name such as ``M_0_0``.

        Raises
        ------
        BaseException
            Any: the model then fails to load, and the repository index says why.
        """


MAX_INSTANCES = 1024
"""Of one model: each is a thread, and a client may send a configuration."""


@dataclass(frozen=True, slots=True, repr=False)
class Model(Declaration):
    """A Python callable, declared as Triton's ``config.pbtxt`` would declare it.

    It prints as it was written: fields left at their default are left out.

    Raises
    ------
    ValueError
        If a name is empty or used twice, there is no input or output, or a number is
        out of its range.
    """

    name: str

    inputs: Sequence[TensorSpec]

    outputs: Sequence[TensorSpec]

    function: ModelFunction | Backend | Ensemble
    """Called with all inputs by name; returns the outputs by name, in the order in
    which they are sent. It runs in a worker thread, in up to `instances` of them at
    once. It may modify the arrays it gets. An array of another type or shape than
    declared is sent as it is, as Triton does. A second parameter without a default
    receives the `InferenceRequest`. A `Backend` is started once per instance instead;
    an `Ensemble` is run by the server."""

    max_batch_size: int = 0
    """Largest size of the first dimension, which the shapes above then leave out; 0:
    there is no batch dimension."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    """``ModelConfig.parameters``: facts about the model that clients can read."""

    version: str = "1"

    instances: int = 1
    """How many requests run at once; further ones wait for their turn."""

    dynamic_batching: DynamicBatching | None = None
    """Join waiting requests up to `max_batch_size`; None: each runs by itself."""

    sequence_batching: SequenceBatching | None = None
    """Requests belong to sequences, which keep to one instance."""

    is_decoupled: bool = False
    """Any number of responses per request: the function is a generator of them."""

    config_text: str = ""
    """The ``config.pbtxt`` text that the model was made of, if any: clients see it, so
    the other fields must agree with it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        object.__setattr__(self, "parameters", dict(self.parameters))
        if not self.name:
            raise ValueError("a model needs a name")
        for kind, specs in (("input", self.inputs), ("output", self.outputs)):
            names = [spec.name for spec in specs]
            if not names:
                raise ValueError(f"model {self.name!r} has no {kind}")
            if len(set(names)) < len(names):
                raise ValueError(f"model {self.name!r} has two {kind}s of one name")
        if self.max_batch_size < 0:
            raise ValueError(
                f"model {self.name!r}: max_batch_size must be at least 0, "
                f"got {self.max_batch_size}"
            )
        if not (self.version.isdecimal() and int(self.version) > 0):
            raise ValueError(
                f"model {self.name!r}: version must be a positive integer as text, "
                f"got {self.version!r}"
            )
        if not 1 <= self.instances <= MAX_INSTANCES:
            raise ValueError(
                f"model {self.name!r}: instances must be 1 to {MAX_INSTANCES}, "
                f"got {self.instances}"
            )

    def wire_shape(self, spec: TensorSpec) -> tuple[int, ...]:
        """Return the shape a client sends, with the batch dimension if there is one."""
        return (FREE, *spec.shape) if self.max_batch_size > 0 else spec.shape

    def response_to(
        self,
        request: InferenceRequest,
        outputs: Iterable[RawTensor] = (),
        *,
        error: ModelError | None = None,
    ) -> InferenceResponse:
        """Return a response of this model: outputs or an error."""
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            id=request.id,
            outputs=tuple(outputs),
            error=error,
        )
