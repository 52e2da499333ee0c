"""One life of a tritonserver: launched, awaited, ended."""

from __future__ import annotations

import http.client
import os
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from sonic_base.errors import SonicError
from sonic_tracking.engines.container import Container, container_command
from sonic_tracking.engines.supervised_process import SupervisedProcess
from sonic_tracking.engines.triton_command import (
    Ports,
    TritonOptions,
    triton_arguments,
    triton_environ,
)
from sonic_tracking.engines.triton_installation import TritonInstallation
from sonic_tracking.engines.triton_log import log_tail, telling_line

__all__ = [
    "LaunchPlan",
    "TritonFailedError",
    "TritonProcess",
    "TritonStartError",
    "plan_launch",
]

POLL_S = 0.05
PROBE_LIMIT_S = 5.0


class TritonFailedError(SonicError):
    """A tritonserver ended by itself.

    Attributes
    ----------
    reason : str
        The line of the log that says most.
    log : str
        Path of the log file, which is kept.
    log_tail : str
        Its last lines.
    """

    def __init__(self, what: str, *, reason: str, log: str, log_tail: str) -> None:
        self.reason, self.log, self.log_tail = reason, log, log_tail
        super().__init__(f"tritonserver {what}: {reason}; its log is {log}")


class TritonStartError(TritonFailedError):
    """A tritonserver ended, or stayed silent, before it was ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A command, its environment, and what it leaves behind."""

    command: tuple[str, ...]
    environ: dict[str, str]
    links: dict[str, Path]
    """Backend directory to make out of links, by relative path; empty if none."""

    backends: Path
    """Where to make it."""

    leftovers: tuple[str, ...]
    """Absolute glob patterns."""


def plan_launch(
    server: TritonInstallation | Container,
    repository: Path,
    ports: Ports,
    options: TritonOptions,
    threads: int,
) -> LaunchPlan:
    """What to run for this repository and these ports; nothing is done yet."""
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
        # A name of its own, so that what a SIGKILL leaves can be told from others'.
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
    """A launched server; `stop` it whatever `await_ready` says.

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
        """Process id of tritonserver, or of the client of the container's runtime."""
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
        """Metrics are the endpoint that opens last, when every model is loaded.

        It is also the one that asks for neither a certificate nor a token.
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
    """What an error says of the log."""
    return {
        "reason": telling_line(log_tail(log, n_lines=1000)),
        "log": str(log),
        "log_tail": log_tail(log),
    }


def _link(plan: LaunchPlan) -> None:
    """A backend directory of links for this server alone: nothing is shared."""
    for name, target in plan.links.items():
        link = plan.backends / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
