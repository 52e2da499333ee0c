"""Waiting requests: in what order they are served, and which are given up.

Rules: ``PolicyQueue`` and ``PriorityQueue`` in triton-inference-server/core,
``src/scheduler_utils.cc``.
"""

from collections.abc import Iterable, Iterator, Mapping

import grpc

from mock_server.errors import ModelError
from mock_server.model.batching import QueuePolicy, TimeoutAction
from mock_server.scheduling.pending import Dropped, PendingRequest
from mock_server.wire.inference import FailureReason

NANOSECONDS = 1_000_000_000


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

    def add(self, pending: PendingRequest) -> None:
        """Queue a request, which arrived just now.

        Raises
        ------
        ModelError
            UNAVAILABLE if the queue of its level is full.
        """
        level = self._levels.get(pending.request.priority)
        if level is None:
            level = self._levels[self._default_level]
        level.add(pending)

    def give_up(self, now_ns: int) -> list[Dropped]:
        """Take out those that were cancelled, or have waited too long."""
        return [gone for level in self._levels.values() for gone in level.drop(now_ns)]

    def __iter__(self) -> Iterator[PendingRequest]:
        for level in self._levels.values():
            yield from level

    def remove(self, taken: Iterable[PendingRequest]) -> None:
        """Take these out, to be run."""
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

    def drop(self, now_ns: int) -> list[Dropped]:
        dropped = []
        for pending in list(self):
            if pending.is_cancelled:
                self.remove(pending)
                dropped.append(cancelled(pending))
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
    """Give up a request whose client has left."""
    error = ModelError(grpc.StatusCode.CANCELLED, "Request cancelled")
    return Dropped(pending, error, FailureReason.CANCELED)


def _expired(pending: PendingRequest) -> Dropped:
    error = ModelError(grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
    return Dropped(pending, error, FailureReason.REJECTED)
