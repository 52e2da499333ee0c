import threading

import pytest

from mock_server.model.batching import DynamicBatching
from mock_server.scheduling.batching import DynamicBatcher, OneByOne
from mock_server.scheduling.workers import Workers

WAIT_S = 10.0


class Runs:
    """A record of what ran, where, and what was dropped; a run waits for `release`."""

    def __init__(self):
        self.batches, self.dropped = [], []
        self.started = threading.Semaphore(0)
        self.release = threading.Semaphore(0)

    def run(self, instance, batch):
        self.started.release()
        assert self.release.acquire(timeout=WAIT_S)
        self.batches.append((instance, [each.request.id for each in batch]))

    def drop(self, dropped):
        self.dropped.append(dropped.pending.request.id)


@pytest.fixture
def runs():
    return Runs()


@pytest.fixture
def workers(runs):
    made = []

    def make(count=1, scheduler=None):
        each = Workers(
            "m",
            count,
            OneByOne() if scheduler is None else scheduler,
            run=runs.run,
            drop=runs.drop,
            clock=lambda: 0,
        )
        made.append(each)
        return each

    yield make
    for _ in range(100):
        runs.release.release()
    for each in made:
        each.stop()


def test_instances_run_side_by_side(workers, runs, pending):
    some = workers(count=2)
    for name in "abc":
        some.submit(pending(name))

    for _ in range(2):
        assert runs.started.acquire(timeout=WAIT_S)

    assert some.pending == 1
    assert not runs.started.acquire(blocking=False)


def test_stop_runs_what_waits_and_leaves_no_thread(workers, runs, pending):
    before = set(threading.enumerate())
    some = workers()
    for name in "abc":
        some.submit(pending(name))
    for _ in range(3):
        runs.release.release()

    some.stop()

    assert runs.batches == [(0, ["a"]), (0, ["b"]), (0, ["c"])]
    assert set(threading.enumerate()) == before


def test_stopped_workers_start_again_with_a_request(workers, runs, pending):
    some = workers()
    some.stop()

    some.submit(pending("a"))
    runs.release.release()
    some.stop()

    assert runs.batches == [(0, ["a"])]


def test_cancelled_request_is_dropped_when_the_instance_takes_work(
    workers, runs, pending
):
    some = workers(scheduler=DynamicBatcher(DynamicBatching(), 1))
    gone = pending("b")
    for request in (pending("a"), gone, pending("c")):
        some.submit(request)
    assert runs.started.acquire(timeout=WAIT_S)

    gone.request.cancellation.cancel()
    for _ in range(2):
        runs.release.release()
    some.stop()

    assert runs.batches == [(0, ["a"]), (0, ["c"])]
    assert runs.dropped == ["b"]


def test_caller_runs_a_request_itself(workers, runs, pending):
    some = workers()
    runs.release.release()

    some.run_here(pending("a"))

    assert runs.batches == [(0, ["a"])]


def test_callers_and_threads_share_the_instance(workers, runs, pending):
    some = workers()
    callers = [
        threading.Thread(target=some.run_here, args=(pending(name),)) for name in "ab"
    ]
    for caller in callers:
        caller.start()
    assert runs.started.acquire(timeout=WAIT_S)

    some.submit(pending("c"))
    assert not runs.started.acquire(timeout=0.05)
    for _ in range(3):
        runs.release.release()
    for caller in callers:
        caller.join(WAIT_S)
    some.stop()

    assert sorted(runs.batches) == [(0, ["a"]), (0, ["b"]), (0, ["c"])]


def test_stop_waits_for_a_caller_that_runs(workers, runs, pending):
    some = workers()
    caller = threading.Thread(target=some.run_here, args=(pending("a"),))
    caller.start()
    assert runs.started.acquire(timeout=WAIT_S)
    stopping = threading.Thread(target=some.stop)

    stopping.start()
    assert stopping.is_alive()
    runs.release.release()
    stopping.join(WAIT_S)

    assert runs.batches == [(0, ["a"])]
    caller.join(WAIT_S)


def test_requests_that_wait_together_run_together(workers, runs, pending):
    some = workers(scheduler=DynamicBatcher(DynamicBatching(), 4))
    some.submit(pending("a"))
    assert runs.started.acquire(timeout=WAIT_S)
    for name in "bc":
        some.submit(pending(name))

    for _ in range(2):
        runs.release.release()
    some.stop()

    assert runs.batches == [(0, ["a"]), (0, ["b", "c"])]
