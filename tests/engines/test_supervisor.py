"""A supervised command ends with its parent, and leaves nothing behind."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sonic_tracking.engines.triton_process import SupervisedProcess

LIMIT_S = 20.0
FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]
PARENT = """
import os, sys, threading
from sonic_tracking.engines.triton_process import SupervisedProcess

def run():
    with open(os.devnull, "wb") as log:
        process = SupervisedProcess(
            sys.argv[2:], environ=os.environ, log=log, grace_s=5.0,
            leftovers=[sys.argv[1]],
        )
    print(process.pid, flush=True)

thread = threading.Thread(target=run)  # it ends at once; the command must not
thread.start()
thread.join()
sys.stdin.read()
"""


def supervised(command, tmp_path, **options):
    with (tmp_path / "log").open("wb") as log:
        return SupervisedProcess(
            command, environ=os.environ, log=log, grace_s=5.0, **options
        )


def has_ended(pid_descriptor: int) -> bool:
    poll = select.poll()
    poll.register(pid_descriptor, select.POLLIN)
    return bool(poll.poll(LIMIT_S * 1000))


def await_status(process) -> int:
    deadline = time.monotonic() + LIMIT_S
    while process.status() is None and time.monotonic() < deadline:
        os.sched_yield()
    return process.status()


def test_status_is_that_of_the_command(tmp_path):
    process = supervised([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)

    assert await_status(process) == 3


def test_killed_command_is_told_by_its_signal(tmp_path):
    process = supervised(FOREVER, tmp_path)

    os.kill(process.pid, signal.SIGKILL)

    assert await_status(process) == 128 + signal.SIGKILL


def test_stop_ends_the_command_and_removes_what_it_leaves(tmp_path):
    folder = tmp_path / "left-behind"
    folder.mkdir()
    (folder / "file").touch()
    process = supervised(FOREVER, tmp_path, leftovers=[f"{tmp_path}/left-*"])
    ended = os.pidfd_open(process.pid)

    process.stop()

    assert has_ended(ended)
    assert not folder.exists()


def test_command_that_ignores_sigterm_is_killed_after_the_grace(tmp_path):
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); signal.pause()"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = SupervisedProcess(
            [sys.executable, "-c", deaf], environ=os.environ, log=output, grace_s=0.1
        )
    deadline = time.monotonic() + LIMIT_S
    while not log.read_bytes() and time.monotonic() < deadline:
        os.sched_yield()

    process.stop()

    assert process.status() == 128 + signal.SIGKILL


def test_command_that_cannot_be_run_is_named_in_the_log(tmp_path):
    process = supervised(["/nowhere/tritonserver"], tmp_path)

    assert await_status(process) == 127
    assert process.pid == 0
    log = (tmp_path / "log").read_text()
    assert log == "cannot run /nowhere/tritonserver: No such file or directory\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_command_ends_when_its_parent_is_killed_and_not_with_a_thread(number, tmp_path):
    leftover = tmp_path / "left"
    leftover.touch()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(leftover), *FOREVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    command = int(parent.stdout.readline())
    ended = os.pidfd_open(command)
    assert Path(f"/proc/{command}").exists()

    parent.send_signal(number)
    parent.communicate()

    assert has_ended(ended)
    deadline = time.monotonic() + LIMIT_S
    while leftover.exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert not leftover.exists()
