"""Threads that run batches: one for each instance of a model."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from mock_server.scheduling import threads
from mock_server.scheduling.queue import Dropped, PendingRequest, Turn

MAX_WAITING_CALLERS = 64
"""Threads that wait for an instance of one model, to run it themselves."""


class Scheduler(Protocol):
    """Decides what runs next. It is called under a lock, and never waits."""

    wakes_all: bool
    """Whether a request may need a certain instance, not any free one."""

    def __len__(self) -> int:
        """The number of waiting requests."""

    def add(self, pending: PendingRequest) -> None:
        """Queue a request; raises `ModelError` if it is refused."""

    def take(self, instance: int, now_ns: int) -> Turn:
        """Return what a free instance does next."""

    def executed(self, instance: int, now_ns: int) -> None:
        """Note that an instance has run what it took."""

    def drop_cancelled(self) -> Sequence[Dropped]:
        """Remove the requests whose clients have left."""


class Workers:
    """As many threads as a model has instances, each running one batch at a time.

    The threads start with the first request and end with `stop`, after which a request
    starts them again. Methods may be called from any thread.

    Parameters
    ----------
    name : str
        Of the model: the threads carry it.
    count : int
        Instances.
    scheduler : Scheduler
        Used by nobody else.
    run : callable
        Runs a batch on the instance of a number; must not raise.
    drop : callable
        Answers a request that is not run; must not raise.
    clock : callable
        Monotonic time in nanoseconds.
    """

    def __init__(
        self,
        name: str,
        count: int,
        scheduler: Scheduler,
        *,
        run: Callable[[int, Sequence[PendingRequest]], None],
        drop: Callable[[Dropped], None],
        clock: Callable[[], int],
    ) -> None:
        self._name = name
        self._count = count
        self._scheduler = scheduler
        self._run = run
        self._drop = drop
        self._clock = clock
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()  # of the threads that run now
        # Numbers of the free instances: one queue for all threads, or one per thread.
        self._instances = [queue.SimpleQueue[int]() for _ in range(count)]
        if not scheduler.wakes_all:
            self._instances = self._instances[:1] * count
        for number, free in enumerate(self._instances):
            free.put(number)
        self._callers = 0

    @property
    def pending(self) -> int:
        """The number of requests that wait for an instance."""
        return len(self._scheduler) + self._callers

    def submit(self, pending: PendingRequest) -> None:
        """Queue a request.

        Raises
        ------
        ModelError
            If the scheduler refuses it.
        """
        with self._changed:
            self._scheduler.add(pending)
            if not self._threads:
                self._start()
            if self._scheduler.wakes_all:
                self._changed.notify_all()
            else:
                self._changed.notify()

    def run_here(self, pending: PendingRequest) -> None:
        """Run a request in the calling thread, when an instance is free for it.

        It bypasses the scheduler, and saves two changes of threads, which cost more
        than a small model. A thread that waits here waits for an instance even if its
        client leaves, so only some do; further requests are queued.
        """
        with self._changed:
            is_crowded = self._callers >= MAX_WAITING_CALLERS
            self._callers += not is_crowded
        if is_crowded:
            self.submit(pending)
            return
        instance = self._instances[0].get()
        with self._changed:
            self._callers -= 1
        try:
            self._run(instance, (pending,))
        finally:
            self._instances[0].put(instance)

    def drop_cancelled(self) -> None:
        """Answer the waiting requests whose clients have left, all at once."""
        with self._changed:
            dropped = self._scheduler.drop_cancelled()
        for each in dropped:
            self._drop(each)

    def stop(self, timeout_s: float | None = None) -> None:
        """Run what is waiting, and wait for the threads to end.

        The wait is bounded by `timeout_s`, by default `threads.STOP_WAIT_S`: an
        instance that still runs is left behind.
        """
        if timeout_s is None:
            timeout_s = threads.STOP_WAIT_S
        with self._changed:
            ending, self._threads = self._threads, []
            self._stopping.set()
            self._changed.notify_all()
        end_s = time.monotonic() + timeout_s
        if not threads.join_threads(ending, timeout_s):
            return
        # When all instances are free, none runs in the thread of a caller any more.
        taken = []
        with suppress(queue.Empty):  # the time is over: what still runs is left behind
            for free in self._instances:
                left_s = max(0.0, end_s - time.monotonic())
                taken.append((free, free.get(timeout=left_s)))
        for free, number in taken:
            free.put(number)

    def _start(self) -> None:
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(number, self._stopping),
                name=f"{self._name}_0_{number}",
                daemon=True,
            )
            for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, number: int, stopping: threading.Event) -> None:
        free = self._instances[number]
        while (found := self._next_turn(free, stopping)) is not None:
            instance, turn = found
            for dropped in turn.dropped:
                self._drop(dropped)
            if turn.batch:
                self._run(instance, turn.batch)
                with self._changed:
                    self._scheduler.executed(instance, self._clock())
            free.put(instance)

    def _next_turn(
        self, free: "queue.SimpleQueue[int]", stopping: threading.Event
    ) -> tuple[int, Turn] | None:
        """Return an instance and its turn; None when stopping, with nothing left."""
        while True:
            instance = free.get()
            with self._changed:
                turn = self._scheduler.take(instance, self._clock())
                if turn.batch or turn.dropped:
                    return instance, turn
                free.put(instance)
                if stopping.is_set() and turn.wait_s is None:
                    return None
                wait_s = turn.wait_s
                if wait_s is not None:  # a configuration may name centuries
                    wait_s = min(wait_s, threading.TIMEOUT_MAX)
                self._changed.wait(wait_s)
