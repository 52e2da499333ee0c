"""How the requests of a model wait and are joined: the scheduling part of its config.

Field names are those of ``ModelConfig`` in Triton's ``model_config.proto``; its
microseconds are seconds here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Literal

from mock_server.model.written_form import as_written


class TimeoutAction(Enum):
    """What becomes of a request that waited too long."""

    REJECT = 0
    DELAY = 1
    """It waits on, behind all that are still in time."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class QueuePolicy:
    """Limits of one queue (``ModelQueuePolicy``); by default there are none.

    Raises
    ------
    ValueError
        If a number is negative.
    """

    timeout_action: TimeoutAction = TimeoutAction.REJECT

    default_timeout_s: float = 0.0
    """Longest wait; 0: as long as it takes."""

    allow_timeout_override: bool = False
    """Whether the request parameter ``timeout`` may shorten `default_timeout_s`."""

    max_queue_size: int = 0
    """Most requests waiting at once; 0: any number."""

    def __post_init__(self) -> None:
        if self.default_timeout_s < 0 or self.max_queue_size < 0:
            raise ValueError(
                "queue policy: need default_timeout_s >= 0 and max_queue_size >= 0, "
                f"got {self.default_timeout_s} s and {self.max_queue_size}"
            )

    def __repr__(self) -> str:
        return as_written(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DynamicBatching:
    """Joining requests that wait at the same time (``ModelDynamicBatching``).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    preferred_batch_size: Sequence[int] = ()
    """Batch sizes that run at once when reached."""

    max_queue_delay_s: float = 0.0
    """How long a request may be held back for others to join it."""

    preserve_ordering: bool = False
    """Answers leave in the order in which the requests came."""

    priority_levels: int = 0
    """Levels 1 (first) to this; 0: no priorities."""

    default_priority_level: int = 0
    """Level of a request that asks for none."""

    default_queue_policy: QueuePolicy = QueuePolicy()

    priority_queue_policy: Mapping[int, QueuePolicy] = field(default_factory=dict)
    """Policy by level, where it is not the default one."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "preferred_batch_size", tuple(self.preferred_batch_size)
        )
        object.__setattr__(
            self, "priority_queue_policy", dict(self.priority_queue_policy)
        )
        if any(size < 1 for size in self.preferred_batch_size):
            raise ValueError(
                "dynamic batching: preferred batch sizes must be at least 1, got "
                f"{list(self.preferred_batch_size)}"
            )
        if self.max_queue_delay_s < 0:
            raise ValueError(
                "dynamic batching: max_queue_delay_s must be at least 0, got "
                f"{self.max_queue_delay_s} s"
            )
        if not 0 <= self.default_priority_level <= self.priority_levels or (
            self.priority_levels and not self.default_priority_level
        ):
            raise ValueError(
                f"dynamic batching: default_priority_level must be 1 to "
                f"{self.priority_levels}, got {self.default_priority_level}"
            )

    def __repr__(self) -> str:
        return as_written(self)


class Control(Enum):
    """What a control input tells the model of a sequence."""

    START = 0
    READY = 1
    END = 2
    CORRID = 3

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True, repr=False)
class ControlInput:
    """An input that the scheduler fills in (``ModelSequenceBatching.control_input``).

    It has one element per batch row, and no client sends it.
    """

    name: str

    control: Control

    datatype: str = "INT32"
    """INT32, FP32 or BOOL; of CORRID an integer type or BYTES."""

    false_true: tuple[float, float] = (0, 1)
    """Values that stand for no and yes; unused by CORRID."""

    def __repr__(self) -> str:
        return as_written(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SequenceBatching:
    """Requests of one correlation id run in order, on one instance.

    Raises
    ------
    ValueError
        If the strategy is unknown, or a time negative.
    """

    max_sequence_idle_s: float = 1.0
    """A sequence without a request for so long is over."""

    control_input: Sequence[ControlInput] = ()

    strategy: Literal["direct", "oldest"] = "direct"
    """``direct``: a sequence keeps a batch row of an instance to itself; ``oldest``:
    those that have waited longest are joined."""

    max_candidate_sequences: int = 0
    """Of ``oldest``: most sequences at once on an instance; 0: any number."""

    max_queue_delay_s: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "control_input", tuple(self.control_input))
        if self.strategy not in {"direct", "oldest"}:
            raise ValueError(
                "sequence batching: strategy must be 'direct' or 'oldest', got "
                f"{self.strategy!r}"
            )
        if self.max_sequence_idle_s < 0 or self.max_queue_delay_s < 0:
            raise ValueError(
                "sequence batching: times must be at least 0, got "
                f"{self.max_sequence_idle_s} s and {self.max_queue_delay_s} s"
            )

    def __repr__(self) -> str:
        return as_written(self)


EVERY_CONTROL_DATATYPE: Mapping[Control, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(
            (Control.START, Control.READY, Control.END),
            frozenset({"INT32", "FP32", "BOOL"}),
        ),
        Control.CORRID: frozenset({"INT32", "UINT32", "INT64", "UINT64", "BYTES"}),
    }
)
"""Datatypes that a control input of each kind may have."""
