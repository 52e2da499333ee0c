"""Threads for requests: few at work at a time, however many of them wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

LEAST_AT_WORK = 1
"""Another thread is called for a job as long as fewer work."""

MOST_AT_WORK = 2
"""A thread takes no further job while more work. That the two numbers differ keeps
threads from going to sleep and being woken with every job."""

_STUCK_S = 0.02
"""How long jobs may lie there, with none begun, until one more thread is called."""


class RequestThreads(Executor):
    """Runs jobs in threads of its own, those that came first, first.

    Python runs one thread at a time; with one for each of many requests, most of the
    time would go into handing over from one to the next. So only a few jobs run at
    once; but a job that waits, inside `waiting`, leaves its place to another.

    A job that waits without saying so holds up the others for a moment only: when no
    job begins any more, threads are added all the same.

    Parameters
    ----------
    max_threads : int
        At work or waiting; made when needed.
    name : str
        The threads carry it.
    """

    def __init__(self, max_threads: int, name: str) -> None:
        self._max_threads = max_threads
        self._name = name
        self._lock = threading.Lock()
        self._is_open = True
        self._jobs: deque[_Job] = deque()
        self._n_begun = 0
        self._threads: list[_RequestThread] = []
        # The last to go idle is the first to be called: its memory is still at hand.
        self._idle: list[_RequestThread] = []
        self._n_at_work = 0
        self._left_lying = threading.Condition(self._lock)
        self._watch: threading.Thread | None = None
        self._is_watching = False

    def submit(
        self, function: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[ResultT]:
        """Run a job in good time.

        Raises
        ------
        RuntimeError
            After `shutdown`.
        """
        future: Future[ResultT] = Future()
        with self._lock:
            if not self._is_open:
                raise RuntimeError(f"the threads {self._name} are shut down")
            self._jobs.append(_Job(future, function, args, kwargs))
            if self._n_at_work < LEAST_AT_WORK:
                self._call_one()
            elif not self._is_watching:
                self._start_to_watch()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; with `wait`, return when those taken are done."""
        with self._lock:
            self._is_open = False
            cancelled = [job.future for job in self._jobs] if cancel_futures else []
            if cancel_futures:
                self._jobs.clear()
            for thread in self._idle:
                thread.called.release()
            self._n_at_work += len(self._idle)
            self._idle.clear()
            self._left_lying.notify()
        for future in cancelled:
            future.cancel()
        while wait and self._threads:
            self._threads.pop().join()
        if wait and self._watch is not None:
            self._watch.join()

    @property
    def n_at_work(self) -> int:
        """Threads that run a job, and do not wait."""
        return self._n_at_work

    def step_aside(self) -> None:
        """Leave the place at work of the calling thread, which is about to wait."""
        with self._lock:
            self._n_at_work -= 1
            if self._jobs and self._n_at_work < LEAST_AT_WORK:
                self._call_one()

    def step_back(self) -> None:
        """Be at work again, even if there are more than `MOST_AT_WORK` for a moment."""
        with self._lock:
            self._n_at_work += 1

    def next_job(self, thread: _RequestThread, *, is_called: bool) -> _Job | None:
        """Job for a thread that has none; None: there will be no more.

        One that was called for a job takes it, however many are at work by now.
        """
        while True:
            with self._lock:
                if self._jobs and (is_called or self._n_at_work <= MOST_AT_WORK):
                    self._n_begun += 1
                    return self._jobs.popleft()
                self._n_at_work -= 1
                if not self._is_open:
                    return None
                if self._jobs and not self._is_watching:
                    self._start_to_watch()
                self._idle.append(thread)
            thread.called.acquire()
            is_called = True

    def _call_one(self) -> None:
        """Have one more thread at work, if there may be one more."""
        if self._idle:
            self._n_at_work += 1
            self._idle.pop().called.release()
        elif len(self._threads) < self._max_threads:
            self._n_at_work += 1
            thread = _RequestThread(self, f"{self._name}_{len(self._threads)}")
            self._threads.append(thread)
            thread.start()

    def _start_to_watch(self) -> None:
        self._is_watching = True
        if self._watch is None:
            self._watch = threading.Thread(
                target=self._call_when_stuck, name=f"{self._name}_watch", daemon=True
            )
            self._watch.start()
        else:
            self._left_lying.notify()

    def _call_when_stuck(self) -> None:
        with self._lock:
            while self._is_open:
                self._is_watching = bool(self._jobs)
                n_begun = self._n_begun
                self._left_lying.wait(_STUCK_S if self._is_watching else None)
                if self._jobs and self._n_begun == n_begun:
                    self._call_one()


@contextmanager
def waiting() -> Iterator[None]:
    """Let another job run meanwhile, if this thread is one of `RequestThreads`.

    Around whatever takes time of its own: a model, a queue, a planned delay.
    """
    thread = threading.current_thread()
    if not isinstance(thread, _RequestThread) or thread.is_waiting:
        yield
        return
    thread.is_waiting = True
    thread.pool.step_aside()
    try:
        yield
    finally:
        thread.pool.step_back()
        thread.is_waiting = False


# Any: jobs take and return what they like.
@dataclass(frozen=True, slots=True)
class _Job:
    future: Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(*self.args, **self.kwargs)
        except BaseException as exc:  # to whoever asks the future
            self.future.set_exception(exc)
        else:
            self.future.set_result(result)


class _RequestThread(threading.Thread):
    def __init__(self, pool: RequestThreads, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.pool = pool
        self.is_waiting = False
        # Held until the thread is called: the lightest of what one can wait for.
        self.called = threading.Lock()
        self.called.acquire()

    def run(self) -> None:
        job = self.pool.next_job(self, is_called=True)
        while job is not None:
            job.run()
            del job  # and with it the request, while the thread is idle
            job = self.pool.next_job(self, is_called=False)
