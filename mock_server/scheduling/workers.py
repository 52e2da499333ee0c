"""Threads that run batches: one for each instance of a model."""

import threading
from collections.abc import Callable, Sequence
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
        self._free = set(range(count))  # instances that nobody runs a batch on

    @property
    def pending(self) -> int:
        """Requests waiting for an instance."""
        return len(self._scheduler)

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

    def run_at_once(self, pending: PendingRequest) -> bool:
        """Run a request in the calling thread, if it need not wait for its turn.

        It saves two changes of threads, which cost more than a small model.

        Returns
        -------
        bool
            False if others wait, no instance is free, or it is cancelled: nothing was
            done.
        """
        with self._changed:
            if not self._free or len(self._scheduler) or pending.is_cancelled:
                return False
            instance = self._free.pop()
        try:
            self._run(instance, (pending,))
        finally:
            with self._changed:
                self._free.add(instance)
                if len(self._scheduler) or self._stopping.is_set():
                    self._changed.notify_all()
        return True

    def stop(self) -> None:
        """Run what is waiting, and wait for the threads to end."""
        with self._changed:
            threads, self._threads = self._threads, []
            self._stopping.set()
            self._changed.notify_all()
        for thread in threads:
            thread.join()
        with self._changed:
            while len(self._free) < self._count:  # one runs in a thread of a caller
                self._changed.wait()

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

    def _work(self, instance: int, stopping: threading.Event) -> None:
        while (turn := self._next_turn(instance, stopping)) is not None:
            for dropped in turn.dropped:
                self._drop(dropped)
            if turn.batch:
                self._run(instance, turn.batch)
                with self._changed:
                    self._free.add(instance)
                    self._scheduler.executed(instance, self._clock())

    def _next_turn(self, instance: int, stopping: threading.Event) -> Turn | None:
        """Wait for something to do; None: nothing is left, and nothing will come."""
        with self._changed:
            while True:
                if instance in self._free:
                    turn = self._scheduler.take(instance, self._clock())
                    if turn.batch:
                        self._free.discard(instance)
                    if turn.batch or turn.dropped:
                        return turn
                    if stopping.is_set() and turn.wait_s is None:
                        return None
                    self._changed.wait(turn.wait_s)
                else:
                    self._changed.wait()  # another thread runs a request on it
