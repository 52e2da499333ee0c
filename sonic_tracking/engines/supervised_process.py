"""A command that ends with this process, however this process ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO

from sonic_tracking.engines import supervisor

__all__ = ["SupervisedProcess"]

SUPERVISOR_LIMIT_S = 10.0
"""Beyond the grace that the command itself has."""


class SupervisedProcess:
    """A running command, from construction to `stop`.

    It is in a session of its own: Ctrl-C at the terminal does not reach it.

    Parameters
    ----------
    command : sequence of str
    environ : mapping
        All of its environment.
    log : binary file
        Takes its output; may be closed afterwards.
    grace_s : float
        Seconds between SIGTERM and SIGKILL.
    leftovers : sequence of str
        Absolute glob patterns of files and folders to remove at its end.

    Attributes
    ----------
    pid : int
        Process id of the command; 0 if it could not be run, see the log.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        log: IO[bytes],
        grace_s: float,
        leftovers: Sequence[str] = (),
    ) -> None:
        self._grace_s = grace_s
        orders = supervisor.Orders(
            parent=os.getpid(),
            command=list(command),
            environ=dict(environ),
            grace_s=grace_s,
            leftovers=list(leftovers),
        )
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", str(Path(supervisor.__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            text=True,
        )
        # Pipes, since they were asked for.
        assert self._supervisor.stdin is not None
        assert self._supervisor.stdout is not None
        with self._supervisor.stdin as request:
            json.dump(asdict(orders), request)
        with self._supervisor.stdout as answer:
            self.pid = int(answer.readline() or 0)

    def status(self) -> int | None:
        """Exit status, 128 + n after signal n; None while it runs."""
        return self._supervisor.poll()

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        return self._supervisor.wait()

    def stop(self) -> None:
        """Ask it to end, kill it after the grace, and wait; also if it has ended."""
        self._supervisor.terminate()
        self._supervisor.wait(self._grace_s + SUPERVISOR_LIMIT_S)
