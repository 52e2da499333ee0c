"""Runs a command for as long as its parent process lives. A script.

It reads its orders (`Orders`, as JSON) from stdin, starts the command in a process
group of its own, prints its process id, and ends it at SIGTERM or when the parent has
ended in any way: even a SIGKILL leaves nothing behind.

It is a process of its own because ``PR_SET_PDEATHSIG`` follows the *thread* that
started the child, and a server may be started from a worker thread that ends early.
"""

from __future__ import annotations

import ctypes
import glob
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
KILL_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The command to run, and its parent."""

    parent: int
    """Process id of the parent of the supervisor."""

    command: list[str]
    """Its output goes to the supervisor's stderr."""

    environ: dict[str, str]
    """Its complete environment."""

    grace_s: float
    """Seconds between SIGTERM and SIGKILL."""

    leftovers: list[str] = field(default_factory=list)
    """Absolute glob patterns of files and folders to remove at the end."""


def supervise(orders: Orders) -> int:
    """Run the command until it or its parent ends; return its exit status.

    128 + n stands for signal n.

    Raises
    ------
    OSError
        If it cannot be run.
    """
    asked_to_stop, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the wakeup descriptor reports it
    try:
        parent_exits = os.pidfd_open(orders.parent)
    except ProcessLookupError:
        return 128 + signal.SIGTERM
    if os.getppid() != orders.parent:  # ended, and its number was reused
        return 128 + signal.SIGTERM
    child = subprocess.Popen(
        orders.command,
        env=orders.environ,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        process_group=0,
        preexec_fn=_die_with_supervisor,  # noqa: PLW1509 - this process has one thread
    )
    print(child.pid, flush=True)  # noqa: T201 - the answer to the parent
    sys.stdout.close()
    try:
        _wait_readable(os.pidfd_open(child.pid), parent_exits, asked_to_stop)
        if child.poll() is None:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(orders.grace_s)
    finally:
        _kill_group(child.pid)
    status = child.wait(KILL_LIMIT_S)
    return status if status >= 0 else 128 - status


def _die_with_supervisor() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_readable(*descriptors: int) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll()


def _kill_group(leader: int) -> None:
    """Kill the group: the hosts of python models may outlive a crashed server."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _remove(patterns: list[str]) -> None:
    for pattern in patterns:
        for name in glob.glob(pattern):  # noqa: PTH207 - an absolute pattern
            path = Path(name)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def main() -> int:
    """Read the orders, follow them, clean up; status 127 if the command cannot run."""
    orders = Orders(**json.load(sys.stdin))
    try:
        return supervise(orders)
    except OSError as error:
        print(  # noqa: T201 - this is the command's log
            f"cannot run {orders.command[0]}: {error.strerror}", file=sys.stderr
        )
        return 127
    finally:
        _remove(orders.leftovers)


if __name__ == "__main__":
    sys.exit(main())
