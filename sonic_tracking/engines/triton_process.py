"""A tritonserver process: launch, wait until it is ready, stop, read its log."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from sonic_base import SonicError
from sonic_tracking.engines import supervisor
from sonic_tracking.engines.triton_command import (
    Container,
    Ports,
    TritonOptions,
    container_command,
    triton_arguments,
    triton_environ,
)
from sonic_tracking.engines.triton_installation import TritonInstallation

__all__ = [
    "LaunchPlan",
    "SupervisedProcess",
    "TritonFailedError",
    "TritonProcess",
    "TritonStartError",
    "free_ports",
    "log_tail",
    "plan_launch",
    "telling_line",
]

POLL_S = 0.05
LOAD_FAILURE = "failed to load '"
"""Beginning of the log's line about a model that did not load."""
PROBE_LIMIT_S = 5.0


class TritonFailedError(SonicError):
    """A tritonserver ended by itself.

    Attributes
    ----------
    reason : str
        The most informative line of the log.
    log : str
        Path of the log file, which is kept.
    log_tail : str
        Its last lines.
    """

    def __init__(self, what: str, *, reason: str, log: str, log_tail: str) -> None:
        self.reason, self.log, self.log_tail = reason, log, log_tail
        is_load = reason.startswith(LOAD_FAILURE)
        remedy = "mend the model or load only the others; " if is_load else ""
        super().__init__(f"tritonserver {what}: {reason}; {remedy}its log is {log}")


class TritonStartError(TritonFailedError):
    """A tritonserver ended, or did not get ready in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A command, its environment, and the files to clean up."""

    command: tuple[str, ...]
    environ: dict[str, str]
    links: dict[str, Path]
    """Links of the backend directory, by relative path; empty if none is needed."""

    backends: Path
    """Path of the backend directory."""

    leftovers: tuple[str, ...]
    """Files to remove at the end, as absolute glob patterns."""


def plan_launch(
    server: TritonInstallation | Container,
    repository: Path,
    ports: Ports,
    options: TritonOptions,
    threads: int,
) -> LaunchPlan:
    """Return what to run for this repository and these ports; nothing is done yet."""
    name = f"sonic-triton-{uuid.uuid4().hex[:12]}"
    backends = Path(tempfile.gettempdir()) / name
    if isinstance(server, Container):
        command = container_command(server, repository, ports, options, threads)
        return LaunchPlan(
            command=tuple(command),
            environ=dict(os.environ),
            links={},
            backends=backends,
            leftovers=(),
        )
    links = server.backend_links()
    command = [
        str(server.binary),
        *triton_arguments(str(repository), ports, options),
        # A unique name, to recognise what a SIGKILL leaves behind.
        f"--backend-config=python,shm-region-prefix-name={name}",
    ]
    if links:
        command.append(f"--backend-directory={backends}")
    return LaunchPlan(
        command=tuple(command),
        environ=triton_environ(server, threads, os.environ),
        links=links,
        backends=backends,
        leftovers=(f"/dev/shm/{name}*", str(backends)),
    )


class TritonProcess:
    """A launched server; call `stop` even if `await_ready` fails.

    Parameters
    ----------
    plan : LaunchPlan
    metrics : str
        Host and port of its metrics.
    log : Path
    grace_s : float
        Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self, plan: LaunchPlan, *, metrics: str, log: Path, grace_s: float
    ) -> None:
        self.log = log
        self._is_stopping = False
        self._metrics = metrics
        _link(plan)
        with log.open("wb") as output:
            self._process = SupervisedProcess(
                plan.command,
                environ=plan.environ,
                log=output,
                grace_s=grace_s,
                leftovers=plan.leftovers,
            )

    @property
    def pid(self) -> int:
        """Process id of tritonserver, or of the container runtime's client."""
        return self._process.pid

    def stop(self) -> None:
        """Let requests in flight finish, end it, and wait."""
        self._is_stopping = True
        self._process.stop()

    def wait(self) -> None:
        """Return when it was stopped.

        Raises
        ------
        TritonFailedError
            If it ended by itself.
        """
        status = self._process.wait()
        if not self._is_stopping:
            raise TritonFailedError(
                f"ended with status {status}", **_log_facts(self.log)
            )

    def await_ready(self, limit_s: float) -> None:
        """Return when all models are loaded and all endpoints are open.

        Raises
        ------
        TritonStartError
            If the server ends before that, or `limit_s` seconds pass.
        """
        deadline = time.monotonic() + limit_s
        while not self._serves_metrics():
            status = self._process.status()
            if status is not None:
                raise TritonStartError(
                    f"ended with status {status}", **_log_facts(self.log)
                )
            if time.monotonic() >= deadline:
                raise TritonStartError(
                    f"was not ready within {limit_s:g} s", **_log_facts(self.log)
                )
            time.sleep(POLL_S)

    def _serves_metrics(self) -> bool:
        """Ask the metrics endpoint, which opens last, when every model is loaded.

        It also needs neither a certificate nor a token.
        """
        connection = http.client.HTTPConnection(self._metrics, timeout=PROBE_LIMIT_S)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _log_facts(log: Path) -> dict[str, str]:
    """Return the log's contribution to an error."""
    return {
        "reason": telling_line(log_tail(log, n_lines=1000)),
        "log": str(log),
        "log_tail": log_tail(log),
    }


def _link(plan: LaunchPlan) -> None:
    """Make the backend directory, of links for this server only."""
    for name, target in plan.links.items():
        link = plan.backends / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


SUPERVISOR_LIMIT_S = 10.0
"""Seconds in addition to the grace of the command itself."""


class SupervisedProcess:
    """A running command, from construction to `stop`.

    It runs in a session of its own, so that Ctrl-C at the terminal does not reach it.

    Parameters
    ----------
    command : sequence of str
    environ : mapping
        Its complete environment.
    log : binary file
        Receives its output; may be closed afterwards.
    grace_s : float
        Seconds between SIGTERM and SIGKILL.
    leftovers : sequence of str
        Absolute glob patterns of files and folders to remove when it has ended.

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
        # Pipes, as requested above.
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
        """Wait for its end; return its exit status."""
        return self._supervisor.wait()

    def stop(self) -> None:
        """Ask it to end, kill it after the grace, and wait."""
        self._supervisor.terminate()
        self._supervisor.wait(self._grace_s + SUPERVISOR_LIMIT_S)


TAIL_BYTES = 64 << 10
HARMLESS = ("CudaDriverHelper has not been initialized.",)
"""Errors that are logged by every start without a GPU."""
_SEVERE = re.compile(r'^E\d{4} [\d:.]+ \d+ (?:\S+:\d+\] )?"?(?P<text>.*?)"?$')
"""``E1124 19:15:00.123456 4711 model_repository_manager.cc:1 "failed ..."``."""


def log_tail(log: Path, n_lines: int = 20) -> str:
    """Return the last lines of the log without its wide tables; empty without a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = [line for line in text.splitlines() if not line.startswith(("|", "+"))]
    return "\n".join(lines[-n_lines:])


def telling_line(log_text: str) -> str:
    """Return the line that best explains a failure.

    The first error that names the model that did not load; else the first error; else
    the last line. A traceback, which Triton writes into the same line, is left out.
    """
    lines = [line.strip() for line in log_text.splitlines() if line.strip()]
    errors = [
        match["text"].partition(r"\n")[0].rstrip()
        for line in lines
        if (match := _SEVERE.match(line)) and match["text"] not in HARMLESS
    ]
    about_models = [text for text in errors if text.startswith(LOAD_FAILURE)]
    for text in (*about_models, *errors, *reversed(lines)):
        return text
    return "the log is empty"


def free_ports(wanted: Ports, host: str = "127.0.0.1") -> Ports:
    """Return `wanted` with a free port in place of each 0.

    All are held while they are chosen, so they differ. Another process may take one
    before it is used: the caller must be prepared to ask again.
    """
    with ExitStack() as held:

        def chosen(port: int) -> int:
            if port:
                return port
            listener = held.enter_context(socket.socket())
            listener.bind((host, 0))
            number: int = listener.getsockname()[1]
            return number

        return Ports(
            grpc=chosen(wanted.grpc),
            http=chosen(wanted.http),
            metrics=chosen(wanted.metrics),
        )
