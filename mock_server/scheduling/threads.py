"""Threads that serve requests, and how a stopping server waits for them.

All are daemon threads: a model function that never returns must not keep the process
alive. A stop waits for them for `STOP_WAIT_S` and then leaves them behind.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

logger = logging.getLogger(__name__)

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

LEAST_AT_WORK = 1
"""Another thread is called for a job as long as fewer work."""

MOST_AT_WORK = 2
"""A thread takes no further job while more work. The gap between the two numbers keeps
threads from falling asleep and being woken with every job."""

STOP_WAIT_S = 5.0
"""Longest wait for threads that still run something, in seconds."""

_STUCK_S = 0.02
"""If no queued job has begun for this long, one more thread is called."""


def join_threads(
    threads: Iterable[threading.Thread], timeout_s: float | None = None
) -> bool:
    """Wait for daemon threads to end, `timeout_s` or `STOP_WAIT_S` for all together.

    Returns
    -------
    bool
        False if one still runs; it is named in a warning and left behind.
    """
    if timeout_s is None:
        timeout_s = STOP_WAIT_S
    end_s = time.monotonic() + timeout_s
    running = []
    for thread in threads:
        if thread is threading.current_thread():
            continue
        thread.join(max(0.0, end_s - time.monotonic()))
        if thread.is_alive():
            running.append(thread.name)
    if running:
        logger.warning(
            "still running after %g s, left behind: %s", timeout_s, ", ".join(running)
        )
    return not running


class RequestThreads(Executor):
    """Runs jobs in threads of its own, first come, first served.

    Python runs one thread at a time; with one per request, most of the time would go
    into switching between them. So only a few jobs run at once, and a job that waits,
    inside `waiting`, lets another one run meanwhile.

    A job that waits without saying so delays the others by a moment only: if no job
    begins any more, threads are added all the same.

    Parameters
    ----------
    max_threads : int
        Working or waiting; created on demand.
    name : str
        Prefix of the threads' names.
    """

    def __init__(self, max_threads: int, name: str) -> None:
        self._max_threads = max_threads
        self._name = name
        self._lock = threading.Lock()
        self._is_open = True
        self._jobs: deque[_Job] = deque()
        self._n_begun = 0
        self._own_threads: list[_RequestThread] = []
        # Last idle, first called: its memory is still in the cache.
        self._idle: list[_RequestThread] = []
        self._n_at_work = 0
        self._jobs_wait = threading.Condition(self._lock)
        self._watch: threading.Thread | None = None
        self._is_watching = False

    def submit(
        self, function: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[ResultT]:
        """Queue a job.

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
        """Take no more jobs; with `wait`, wait for those taken, up to `STOP_WAIT_S`."""
        with self._lock:
            self._is_open = False
            cancelled = [job.future for job in self._jobs] if cancel_futures else []
            if cancel_futures:
                self._jobs.clear()
            for thread in self._idle:
                thread.called.release()
            self._n_at_work += len(self._idle)
            self._idle.clear()
            self._jobs_wait.notify()
            threads: list[threading.Thread] = list(self._own_threads)
            if self._watch is not None:
                threads.append(self._watch)
        for future in cancelled:
            future.cancel()
        if wait:
            join_threads(threads)

    @property
    def n_at_work(self) -> int:
        """Threads that run a job and do not wait."""
        return self._n_at_work

    @property
    def n_waiting(self) -> int:
        """Jobs that no thread has begun."""
        return len(self._jobs)

    def step_aside(self) -> None:
        """Count the calling thread as waiting, so that another may work."""
        with self._lock:
            self._n_at_work -= 1
            if self._jobs and self._n_at_work < LEAST_AT_WORK:
                self._call_one()

    def step_back(self) -> None:
        """Count it as working, even beyond `MOST_AT_WORK` for a moment."""
        with self._lock:
            self._n_at_work += 1

    def next_job(self, thread: _RequestThread, *, is_called: bool) -> _Job | None:
        """Wait for a job; None after `shutdown`.

        A thread that was called for a job takes it, however many work by now.
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
        """Wake or create one more thread, if the maximum allows it."""
        if self._idle:
            self._n_at_work += 1
            self._idle.pop().called.release()
        elif len(self._own_threads) < self._max_threads:
            self._n_at_work += 1
            thread = _RequestThread(self, f"{self._name}_{len(self._own_threads)}")
            self._own_threads.append(thread)
            thread.start()

    def _start_to_watch(self) -> None:
        self._is_watching = True
        if self._watch is None:
            self._watch = threading.Thread(
                target=self._call_when_stuck, name=f"{self._name}_watch", daemon=True
            )
            self._watch.start()
        else:
            self._jobs_wait.notify()

    def _call_when_stuck(self) -> None:
        with self._lock:
            while self._is_open:
                self._is_watching = bool(self._jobs)
                n_begun = self._n_begun
                self._jobs_wait.wait(_STUCK_S if self._is_watching else None)
                if self._jobs and self._n_begun == n_begun:
                    self._call_one()


class ReservedThreads(RequestThreads, ThreadPoolExecutor):
    """`RequestThreads` that gRPC accepts for some of its methods: it asks for the type.

    All that is done is done as in `RequestThreads`.
    """


@contextmanager
def waiting() -> Iterator[None]:
    """Let another job run meanwhile, if this thread is one of `RequestThreads`.

    Put it around everything that takes long: a model, a queue, a planned delay.
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


@dataclass(frozen=True, slots=True)
class _Job:
    # Any: a job takes and returns what it likes.
    future: Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function(*self.args, **self.kwargs)
        except BaseException as exc:  # raised again by `future.result`
            self.future.set_exception(exc)
        else:
            self.future.set_result(result)


class _RequestThread(threading.Thread):
    def __init__(self, pool: RequestThreads, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.pool = pool
        self.is_waiting = False
        # Held until the thread is called: the cheapest primitive to wait on.
        self.called = threading.Lock()
        self.called.acquire()

    def run(self) -> None:
        job = self.pool.next_job(self, is_called=True)
        while job is not None:
            job.run()
            del job  # and with it the request, while the thread is idle
            job = self.pool.next_job(self, is_called=False)
