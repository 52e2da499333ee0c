"""What is served: a name, its tensors, and the function that answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from mock_server.model.batching import DynamicBatching, SequenceBatching
from mock_server.model.ensemble_steps import Ensemble
from mock_server.model.instances import Backend
from mock_server.model.written_form import as_written
from mock_server.wire.codec import DATATYPES

Tensors = Mapping[str, NDArray[Any]]
ModelFunction = Callable[[Tensors], Tensors]

FREE = -1
"""A dimension of any size, 0 included."""


def dims_text(dims: Sequence[int]) -> str:
    """Dimensions as Triton writes them: ``[-1,3]``."""
    return "[" + ",".join(map(str, dims)) + "]"


@dataclass(frozen=True, slots=True, repr=False)
class TensorSpec:
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
    """Of an input: a request may leave it out."""

    labels: tuple[str, ...] = ()
    """Of an output: names of its classes, for the classification extension."""

    reshape: tuple[int, ...] | None = None
    """Shape on the model's side, if not `shape`: as many elements, and as many free
    dimensions."""

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

    def __repr__(self) -> str:
        return as_written(self)

    def __str__(self) -> str:
        return f"{self.name} {self.datatype}{dims_text(self.shape)}"


@dataclass(frozen=True, slots=True, repr=False)
class Model:
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
    which they are to be sent. It runs in a worker thread, in up to `instances` of them
    at once. The arrays it gets are its own. An array of another type or shape than
    declared is sent as it is, as Triton does. A `Backend` is started instead, once for
    each instance; an `Ensemble` is run by the server."""

    max_batch_size: int = 0
    """Largest size of the first dimension, which the shapes above then leave out; 0:
    there is no batch dimension."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    """``ModelConfig.parameters``: what the client is to know about the model."""

    version: str = "1"

    instances: int = 1
    """How many requests run at once; further ones wait for their turn."""

    dynamic_batching: DynamicBatching | None = None
    """Join waiting requests up to `max_batch_size`; None: each runs by itself."""

    sequence_batching: SequenceBatching | None = None
    """Requests belong to sequences, which keep to one instance."""

    is_decoupled: bool = False
    """Any number of responses a request: the function is a generator of them."""

    further_config: str = ""
    """Whatever else of ``ModelConfig`` clients are to see, as ``config.pbtxt`` text."""

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
        if self.instances < 1:
            raise ValueError(
                f"model {self.name!r}: instances must be at least 1, "
                f"got {self.instances}"
            )

    def __repr__(self) -> str:
        return as_written(self)

    @property
    def has_reshape(self) -> bool:
        """Whether an input has another shape on the model's side."""
        return any(spec.reshape is not None for spec in self.inputs)

    def wire_shape(self, spec: TensorSpec) -> tuple[int, ...]:
        """Shape a client must send, batch dimension included where there is one."""
        return (FREE, *spec.shape) if self.max_batch_size > 0 else spec.shape
