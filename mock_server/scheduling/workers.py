"""Threads that run batches: one for each instance of a model."""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol

from mock_server.scheduling.pending import Dropped, PendingRequest, Turn


class Scheduler(Protocol):
    """Decides what runs next. It is called under a lock, and never waits."""

    wakes_all: bool
    """Whether a request may be for a certain instance, not for any that is free."""

    def __len__(self) -> int:
        """Requests waiting."""

    def add(self, pending: PendingRequest) -> None:
        """Queue a request; raises `ModelError` if it is refused."""

    def take(self, instance: int, now_ns: int) -> Turn:
        """Say what an instance that is free is to do."""

    def executed(self, instance: int, now_ns: int) -> None:
        """Take note that an instance has run what it took."""


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
        # Numbers of the instances that are free: of any for each thread, or of its own.
        self._instances = [SimpleQueue[int]() for _ in range(count)]
        if not scheduler.wakes_all:
            self._instances = self._instances[:1] * count
        for number, free in enumerate(self._instances):
            free.put(number)
        self._callers = 0

    @property
    def pending(self) -> int:
        """Requests waiting for an instance."""
        return len(self._scheduler) + self._callers

    def submit(self, pending: PendingRequest) -> None:
        """Queue a request; it is answered in good time.

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

        It passes the scheduler by, and saves two changes of threads, which cost more
        than a small model.
        """
        with self._changed:
            self._callers += 1
        instance = self._instances[0].get()
        with self._changed:
            self._callers -= 1
        try:
            self._run(instance, (pending,))
        finally:
            self._instances[0].put(instance)

    def stop(self) -> None:
        """Run what is waiting, and wait for the threads to end."""
        with self._changed:
            threads, self._threads = self._threads, []
            self._stopping.set()
            self._changed.notify_all()
        for thread in threads:
            thread.join()
        # All instances at hand: none runs in the thread of a caller any more.
        numbers = [free.get() for free in self._instances]
        for number, free in zip(numbers, self._instances, strict=True):
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
        self, free: SimpleQueue[int], stopping: threading.Event
    ) -> tuple[int, Turn] | None:
        """Instance and what it is to do; None: nothing is left, nothing will come."""
        while True:
            instance = free.get()
            with self._changed:
                turn = self._scheduler.take(instance, self._clock())
                if turn.batch or turn.dropped:
                    return instance, turn
                free.put(instance)
                if stopping.is_set() and turn.wait_s is None:
                    return None
                self._changed.wait(turn.wait_s)
