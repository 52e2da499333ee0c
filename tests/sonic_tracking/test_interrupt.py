"""Ctrl-C and SIGTERM end a job at once: its status, one line, and what it has done."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from mock_server import MockServer, Model, TensorSpec
from producers import TrackEvents

SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}
SIGNALS = pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGINT, 130, "sonic: interrupted"),
        (signal.SIGTERM, 143, "sonic: terminated"),
    ],
    ids=["ctrl-c", "sigterm"],
)

WAIT_S = 80.0
"""Limit for a process to start, or to end, on a busy machine."""

# A server that stops in the middle of its sixth request, as a machine does that hangs:
# its connections stay, and nobody answers.
STALLING = """
import os, signal, sys, threading
from mock_server import MockServer, Model, TensorSpec

n_requests = 0

def label(tensors):
    global n_requests
    n_requests += 1
    if n_requests == 6:
        os.kill(os.getpid(), signal.SIGSTOP)
        threading.Event().wait()  # the signal may take another thread first
    return {"LABELS": tensors["FEATURES"][:, 0].astype("int64")}

features = TensorSpec("FEATURES", "FP32", (-1, 3))
labels = TensorSpec("LABELS", "INT64", (-1,))
scales = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}
model = Model("exatrkx", [features], [labels], label, parameters=scales)
with MockServer([model]) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def track(sample, url, folder):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "sonic_tracking", "track"),
            *(str(sample / "events.root"), "-o", "tracks.root"),
            # One at a time, so that some events are done when the next is asked for.
            *("--server", url, "--window", "1"),
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def stalling_server():
    process = subprocess.Popen(
        [sys.executable, "-c", STALLING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


@SIGNALS
def test_a_signal_leaves_one_line_and_no_file(sample, tmp_path, number, status, line):
    arrived, interrupted = threading.Event(), threading.Event()

    def never_in_time(tensors):
        arrived.set()
        interrupted.wait()
        return {"LABELS": tensors["FEATURES"][:, 0].astype("int64")}

    features = TensorSpec("FEATURES", "FP32", (-1, 3))
    labels = TensorSpec("LABELS", "INT64", (-1,))
    model = Model("exatrkx", [features], [labels], never_in_time, parameters=SCALES)
    with MockServer([model]) as server:
        job = track(sample, server.url, tmp_path)
        try:
            assert arrived.wait(WAIT_S)
            job.send_signal(number)
            _, stderr = job.communicate(timeout=WAIT_S)
        finally:
            job.kill()
            interrupted.set()

    assert job.returncode == status
    assert stderr == f"{line}\n"
    assert list(tmp_path.iterdir()) == []


@SIGNALS
def test_a_job_at_a_stalled_server_ends_with_what_it_has_done(
    sample, tmp_path, number, status, line
):
    with stalling_server() as (url, server):
        job = track(sample, url, tmp_path)
        _, how = os.waitpid(server.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(how)

        job.send_signal(number)
        try:
            # While the server is still stopped: the end of the job must not need it.
            stdout, stderr = job.communicate(timeout=WAIT_S)
        finally:
            job.kill()

    assert job.returncode == status
    assert stderr.splitlines()[-1] == line
    n_done = len(TrackEvents(tmp_path / "tracks.root.partial"))
    assert 3 <= n_done <= 5
    title, *rows = stdout.splitlines()
    assert title.strip() == "done until now"
    assert ["requests", "5"] in [row.split() for row in rows]


def test_a_second_signal_ends_the_job_at_once(sample, tmp_path):
    with stalling_server() as (url, server):
        job = track(sample, url, tmp_path)
        os.waitpid(server.pid, os.WUNTRACED)

        # Both wait for the stopped job, so that the second comes before its clean-up.
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            job.send_signal(number)
        try:
            _, stderr = job.communicate(timeout=WAIT_S)
        finally:
            job.kill()

    assert job.returncode == 128 + signal.SIGTERM
    assert stderr.splitlines()[-1] == "sonic: ended at once, without cleaning up"
    # Whole blocks of events were written; all of them can be read.
    assert len(TrackEvents(tmp_path / "tracks.root.partial")) <= 5
