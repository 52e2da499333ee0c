"""Waiting requests: in what order they are served, and which are dropped.

Rules: ``PolicyQueue`` and ``PriorityQueue`` in triton-inference-server/core,
``src/scheduler_utils.cc``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import grpc

from mock_server.errors import ModelError
from mock_server.model.batching import QueuePolicy, TimeoutAction
from mock_server.wire.codec import RawTensor
from mock_server.wire.inference import FailureReason, InferenceRequest, Respond

NANOSECONDS = 1_000_000_000


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A checked request that waits for its turn, or runs."""

    request: InferenceRequest

    respond: Respond

    batch_size: int
    """Rows; 1 where there is no batching."""

    arrived_ns: int
    """On the scheduler's monotonic clock, as are all times here."""

    deadline_ns: int | None = None
    """When it has waited too long; None: never."""

    controls: Sequence[RawTensor] = ()
    """Inputs that the sequence scheduler adds to those of the client."""

    is_filler: bool = False
    """It fills the row of a sequence that has no request now; no client waits."""

    def seen_by_model(self) -> InferenceRequest:
        """Return the request with its control inputs, as the model gets it."""
        if not self.controls:
            return self.request
        return replace(self.request, inputs=(*self.request.inputs, *self.controls))

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.request.cancellation.is_cancelled


class Dropped(NamedTuple):
    """A request that is answered without being run."""

    pending: PendingRequest
    error: ModelError
    reason: FailureReason


class Turn(NamedTuple):
    """The next thing a free instance does."""

    batch: Sequence[PendingRequest] = ()  #: to run together; empty: wait
    dropped: Sequence[Dropped] = ()
    wait_s: float | None = None  #: look again after this; None: at the next request


class RequestQueue:
    """Requests by priority level, then in the order in which they came.

    Not thread-safe; it never looks at a clock, but is told the time.

    Parameters
    ----------
    policy : QueuePolicy
        Of every level without a policy of its own.
    levels : int
        Priority levels 1 to this; 0: there is one queue, and priorities mean nothing.
    default_level : int
        Level of requests with another priority than these.
    policies : mapping
        Policies by level.
    """

    def __init__(
        self,
        policy: QueuePolicy | None = None,
        *,
        levels: int = 0,
        default_level: int = 0,
        policies: Mapping[int, QueuePolicy] | None = None,
    ) -> None:
        default = policy or QueuePolicy()
        own = policies or {}
        numbers = range(1, levels + 1) if levels else (0,)
        self._levels = {n: _Level(own.get(n, default)) for n in numbers}
        self._default_level = default_level if levels else 0

    def __len__(self) -> int:
        return sum(map(len, self._levels.values()))

    def __iter__(self) -> Iterator[PendingRequest]:
        for level in self._levels.values():
            yield from level

    def add(self, pending: PendingRequest) -> None:
        """Queue a request that has just arrived.

        Raises
        ------
        ModelError
            UNAVAILABLE if the queue of its level is full.
        """
        level = self._levels.get(pending.request.priority)
        if level is None:
            level = self._levels[self._default_level]
        level.add(pending)

    def drop_cancelled(self) -> list[Dropped]:
        """Remove the requests that were cancelled."""
        return [gone for level in self._levels.values() for gone in level.cancelled()]

    def drop(self, now_ns: int) -> list[Dropped]:
        """Remove the requests that were cancelled, or have waited too long."""
        return [gone for level in self._levels.values() for gone in level.drop(now_ns)]

    def remove(self, taken: Iterable[PendingRequest]) -> None:
        """Remove requests that will be run."""
        for pending in taken:
            for level in self._levels.values():
                if level.remove(pending):
                    break


class _Level:
    def __init__(self, policy: QueuePolicy) -> None:
        self._policy = policy
        # Insertion order is the order of service; removal is O(1).
        self._waiting: dict[PendingRequest, None] = {}
        self._delayed: dict[PendingRequest, None] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._delayed)

    def __iter__(self) -> Iterator[PendingRequest]:
        yield from self._waiting
        yield from self._delayed

    def add(self, pending: PendingRequest) -> None:
        limit = self._policy.max_queue_size
        if limit and len(self) >= limit:
            raise ModelError(
                grpc.StatusCode.UNAVAILABLE,
                f"[request id: {pending.request.id or '<id_unknown>'}] "
                "Exceeds maximum queue size",
            )
        timeout_ns = round(self._policy.default_timeout_s * NANOSECONDS)
        own_ns = pending.request.timeout_us * 1000
        if self._policy.allow_timeout_override and 0 < own_ns < timeout_ns:
            timeout_ns = own_ns
        if timeout_ns:
            pending.deadline_ns = pending.arrived_ns + timeout_ns
        self._waiting[pending] = None

    def remove(self, pending: PendingRequest) -> bool:
        for queue in (self._waiting, self._delayed):
            if pending in queue:
                del queue[pending]
                return True
        return False

    def cancelled(self) -> list[Dropped]:
        gone = [pending for pending in self if pending.is_cancelled]
        for pending in gone:
            self.remove(pending)
        return [cancelled(pending) for pending in gone]

    def drop(self, now_ns: int) -> list[Dropped]:
        dropped = self.cancelled()
        late = [
            pending
            for pending in self._waiting
            if pending.deadline_ns is not None and pending.deadline_ns < now_ns
        ]
        for pending in late:
            del self._waiting[pending]
            if self._policy.timeout_action is TimeoutAction.DELAY:
                self._delayed[pending] = None
            else:
                dropped.append(_expired(pending))
        return dropped


def cancelled(pending: PendingRequest) -> Dropped:
    """Return a request as dropped because its client has left."""
    error = ModelError(grpc.StatusCode.CANCELLED, "Request cancelled")
    return Dropped(pending, error, FailureReason.CANCELED)


def _expired(pending: PendingRequest) -> Dropped:
    error = ModelError(grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
    return Dropped(pending, error, FailureReason.REJECTED)
