"""How the requests of a model wait and are joined: the scheduling part of its config.

Field names are those of ``ModelConfig`` in Triton's ``model_config.proto``; its
microseconds are seconds here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Literal


class Declaration:
    """Base of the declared dataclasses: they print as the call that makes them.

    Fields at their default are left out; functions print as their names.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        written = []
        # The subclasses are dataclasses, which the base cannot say.
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if value == each.default or (
                each.default_factory is not MISSING and value == each.default_factory()
            ):
                continue
            is_function = callable(value) and hasattr(value, "__qualname__")
            text = value.__qualname__ if is_function else repr(value)
            written.append(f"{each.name}={text}")
        return f"{type(self).__name__}({', '.join(written)})"


class TimeoutAction(Enum):
    """The treatment of a request that has waited too long."""

    REJECT = 0
    DELAY = 1
    """It waits on, behind all requests that are still in time."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class QueuePolicy(Declaration):
    """Limits of one queue (``ModelQueuePolicy``); by default there are none.

    Raises
    ------
    ValueError
        If a number is negative.
    """

    timeout_action: TimeoutAction = TimeoutAction.REJECT

    default_timeout_s: float = 0.0
    """Longest wait, in seconds; 0 means no limit."""

    allow_timeout_override: bool = False
    """Whether the request parameter ``timeout`` may shorten `default_timeout_s`."""

    max_queue_size: int = 0
    """Largest number of waiting requests; 0 means no limit."""

    def __post_init__(self) -> None:
        if self.default_timeout_s < 0 or self.max_queue_size < 0:
            raise ValueError(
                "queue policy: need default_timeout_s >= 0 and max_queue_size >= 0, "
                f"got {self.default_timeout_s} s and {self.max_queue_size}"
            )


MAX_PRIORITY_LEVELS = 1024
"""Of one model: each is a queue, and a client may send a configuration."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DynamicBatching(Declaration):
    """Joining requests that wait at the same time (``ModelDynamicBatching``).

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    preferred_batch_size: Sequence[int] = ()
    """Batch sizes that run as soon as they are reached."""

    max_queue_delay_s: float = 0.0
    """How long a request may be held back so that others can join it, in seconds."""

    preserve_ordering: bool = False
    """Answers leave in the order in which the requests came."""

    priority_levels: int = 0
    """Levels 1 (served first) to this; 0: no priorities."""

    default_priority_level: int = 0
    """Level of a request that names none."""

    default_queue_policy: QueuePolicy = QueuePolicy()

    priority_queue_policy: Mapping[int, QueuePolicy] = field(default_factory=dict)
    """Policy by level, where it differs from the default one."""

    def __post_init__(self) -> None:
        sizes = tuple(self.preferred_batch_size)
        object.__setattr__(self, "preferred_batch_size", sizes)
        policies = dict(self.priority_queue_policy)
        object.__setattr__(self, "priority_queue_policy", policies)
        if any(size < 1 for size in sizes):
            raise ValueError(
                "dynamic batching: preferred batch sizes must be at least 1, got "
                f"{list(sizes)}"
            )
        if self.max_queue_delay_s < 0:
            raise ValueError(
                "dynamic batching: max_queue_delay_s must be at least 0, got "
                f"{self.max_queue_delay_s} s"
            )
        if self.priority_levels > MAX_PRIORITY_LEVELS:
            raise ValueError(
                f"dynamic batching: priority_levels must be 0 to {MAX_PRIORITY_LEVELS},"
                f" got {self.priority_levels}"
            )
        if not 0 <= self.default_priority_level <= self.priority_levels or (
            self.priority_levels and not self.default_priority_level
        ):
            raise ValueError(
                f"dynamic batching: default_priority_level must be 1 to "
                f"{self.priority_levels}, got {self.default_priority_level}"
            )


class Control(Enum):
    """The fact about its sequence that a control input tells the model."""

    START = 0
    READY = 1
    END = 2
    CORRID = 3

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True, repr=False)
class ControlInput(Declaration):
    """An input that the scheduler fills in (``ModelSequenceBatching.control_input``).

    It has one element per batch row; clients do not send it.
    """

    name: str

    control: Control

    datatype: str = "INT32"
    """INT32, FP32 or BOOL; for CORRID an integer type or BYTES."""

    false_true: tuple[float, float] = (0, 1)
    """Values that stand for no and yes; unused by CORRID."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SequenceBatching(Declaration):
    """Requests of one correlation id run in order, on one instance.

    Raises
    ------
    ValueError
        If the strategy is unknown, or a time negative.
    """

    max_sequence_idle_s: float = 1.0
    """A sequence ends when it has had no request for this time, in seconds."""

    control_input: Sequence[ControlInput] = ()

    strategy: Literal["direct", "oldest"] = "direct"
    """``direct``: a sequence keeps a batch row of an instance to itself; ``oldest``:
    the requests that have waited longest are joined."""

    max_candidate_sequences: int = 0
    """For ``oldest``: most sequences at once on an instance; 0 means no limit."""

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
