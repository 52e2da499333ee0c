"""Jobs in few threads, and in more where they wait."""

import threading
from contextlib import contextmanager, nullcontext

import pytest

from mock_server.scheduling.threads import (
    MOST_AT_WORK,
    RequestThreads,
    join_threads,
    waiting,
)

WAIT_S = 10.0


@contextmanager
def pool_of(max_threads):
    others = set(threading.enumerate())
    pool = RequestThreads(max_threads, "test")
    try:
        yield pool
    finally:
        pool.shutdown()
        assert set(threading.enumerate()) <= others


def test_job_gives_its_result_or_its_error():
    with pool_of(4) as pool:
        assert pool.submit(divmod, 7, 2).result(WAIT_S) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result(WAIT_S)


def test_jobs_begin_in_the_order_in_which_they_came():
    begun, gate = [], threading.Event()
    with pool_of(1) as pool:
        pool.submit(gate.wait, WAIT_S)
        jobs = [pool.submit(begun.append, number) for number in range(20)]

        gate.set()
        for job in jobs:
            job.result(WAIT_S)

    assert begun == list(range(20))


def test_no_more_threads_are_made_than_are_needed_for_work():
    with pool_of(100) as pool:
        names = {
            job.result(WAIT_S)
            for job in [
                pool.submit(lambda: threading.current_thread().name) for _ in range(500)
            ]
        }

    assert len(names) <= MOST_AT_WORK + 1


@pytest.mark.parametrize("manner", [waiting, nullcontext], ids=["said", "unsaid"])
def test_jobs_that_wait_for_each_other_all_run(manner):
    everybody = threading.Barrier(20)

    def meet():
        with manner():
            return everybody.wait(WAIT_S)

    with pool_of(20) as pool:
        places = [pool.submit(meet) for _ in range(20)]

        assert sorted(place.result(WAIT_S) for place in places) == list(range(20))


def test_waiting_within_waiting_counts_once():
    def wait_twice():
        with waiting(), waiting():
            pass
        return True

    with pool_of(2) as pool:
        assert all(pool.submit(wait_twice).result(WAIT_S) for _ in range(50))

        assert pool.n_at_work == 0


def test_waiting_means_nothing_in_other_threads():
    with waiting():
        pass


def test_jobs_that_have_not_begun_are_cancelled_with_the_shutdown():
    begun, gate = threading.Event(), threading.Event()

    def hold():
        begun.set()
        gate.wait(WAIT_S)

    pool = RequestThreads(1, "test")
    running = pool.submit(hold)
    waits = pool.submit(len, ())
    assert begun.wait(WAIT_S)

    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    pool.shutdown()

    assert running.result(WAIT_S) is None
    assert waits.cancelled()


def test_jobs_taken_are_done_before_the_shutdown_ends():
    pool = RequestThreads(3, "test")
    jobs = [pool.submit(len, ()) for _ in range(100)]

    pool.shutdown()

    assert all(job.done() for job in jobs)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(len, ())


def test_a_thread_that_never_ends_is_left_behind(caplog):
    gate = threading.Event()
    stuck = threading.Thread(target=gate.wait, name="stuck model", daemon=True)
    stuck.start()

    assert not join_threads([stuck], timeout_s=0.01)

    assert "left behind: stuck model" in caplog.text
    gate.set()
    assert join_threads([stuck, threading.current_thread()])
