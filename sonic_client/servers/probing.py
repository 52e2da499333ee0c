"""Servers that are asked in the background until they can be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from sonic_base.errors import SonicError
from sonic_client.config import ClientConfig
from sonic_client.errors import ServerError, ServerOverloadedError
from sonic_client.report.observer import Observer, ServerChanged, ServerState
from sonic_client.retry.pacing import Timing
from sonic_client.servers.checks import (
    ask_for_model,
    check_pinned_model,
    check_same_model,
    explain_unreachable,
)
from sonic_client.servers.server import Server
from sonic_client.transport.base import ServerCounters
from sonic_client.types import ModelMetadata

__all__ = ["Prober", "StateReports"]

logger = logging.getLogger(__name__)

# The counters are not worth a long wait.
COUNT_TIMEOUT_S = 2.0

_ANSWERS = "answers, and has the model"


class StateReports:
    """Tells the log and the observer when a server's state changes, once a change.

    Warnings about servers that are left alone wait until the job has begun: if it
    cannot begin, its error has the same text.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._states: dict[str, ServerState] = {}
        self._waiting: list[tuple[object, ...]] = []
        self._has_begun = False

    def begin(self, *, is_complete: bool = True) -> None:
        """Log the warnings that waited, unless an error told of all servers."""
        self._has_begun = True
        if is_complete:
            for arguments in self._waiting:
                logger.warning(*arguments)

    def works(self, server: str) -> None:
        """Report a server that answers requests."""
        if self._is_news(server, "healthy", "it answers"):
            logger.info("server %s works again", server)

    def is_back(self, server: Server) -> None:
        """Report a server whose probe succeeded after an outage."""
        if self._is_news(server.name, "half_open", _ANSWERS):
            logger.info("server %s answers again: it gets one request", server.name)

    def is_saturated(self, server: str, error: SonicError) -> None:
        """Report a server without capacity."""
        if self._is_news(server, "saturated", str(error)):
            logger.warning("server %s is saturated: %s", server, _brief(error))

    def is_left_alone(self, server: Server, error: SonicError) -> None:
        """Report a server that gets no requests until a probe succeeds."""
        if not self._is_news(server.name, "open", str(error)):
            return
        warning = ("server %s is %s: %s", server.name, server.pause, _brief(error))
        if self._has_begun:
            logger.warning(*warning)
        else:
            self._waiting.append(warning)

    def falls_back(self, fallback: str, error: SonicError) -> None:
        """Report that the fallback answers; `ends_outage` makes it news again."""
        if self._is_news(fallback, "fallback", str(error)):
            logger.warning("%s answers in place of the servers: %s", fallback, error)

    def ends_outage(self) -> None:
        """Note that a server is back: the next use of the fallback is news."""
        self._states = {
            name: state for name, state in self._states.items() if state != "fallback"
        }

    def _is_news(self, server: str, state: ServerState, reason: str) -> bool:
        """Tell the observer of a change; a first good state is none."""
        if state == self._states.get(server, "healthy"):
            return False
        self._states[server] = state
        self._observer.server_changed(
            ServerChanged(server=server, state=state, reason=reason)
        )
        return True


def _brief(error: SonicError) -> str:
    """Return the error's text without the server's address, which stands before it."""
    server = getattr(error, "server", "")
    return str(error).removeprefix(f"server {server} ")


class Prober:
    """Asks servers whether they take requests, with backoff, until they do.

    Parameters
    ----------
    tasks : TaskGroup
        Owns the tasks; `close` ends them.
    changed : callable
        Is called with every server after a probe.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        tasks: asyncio.TaskGroup,
        reports: StateReports,
        changed: Callable[[Server], None],
        timing: Timing,
    ) -> None:
        self._config, self._timing = config, timing
        self._tasks = tasks
        self._reports, self._changed = reports, changed
        self._running: set[asyncio.Task[None]] = set()
        self._reference: tuple[ModelMetadata, str] | None = None

    @property
    def metadata(self) -> ModelMetadata | None:
        """The model as the first server described it; None until one did."""
        return self._reference[0] if self._reference else None

    def adopt(self, metadata: ModelMetadata, known_from: str) -> None:
        """Compare all servers with this, unless a server was first."""
        self._reference = self._reference or (metadata, known_from)

    def start(self, server: Server) -> None:
        """Probe a server until it can be used."""
        self._run(self._probe_until_usable(server))

    def describe_again(self, server: Server) -> None:
        """Ask for the model again; leave the server alone if its tensors changed."""
        self._run(self._describe_again(server))

    async def close(self) -> None:
        """Probe no more."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _run(self, coroutine: Coroutine[object, object, None]) -> None:
        task = self._tasks.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _probe_until_usable(self, server: Server) -> None:
        wait_s = server.probe_wait_s()
        if wait_s > 0.0 and not server.is_rechecked:
            await self._timing.sleep(wait_s)
        while not await self._probe(server):
            self._changed(server)
            await self._timing.sleep(server.probe_wait_s())
        self._changed(server)

    async def _probe(self, server: Server) -> bool:
        """Probe once; return whether the server can be used."""
        try:
            metadata = await self._ask(server)
        except ServerOverloadedError as error:
            server.probe_failed(error)
            self._reports.is_saturated(server.name, error)
        except SonicError as error:
            if server.metadata is None:
                error = await explain_unreachable(error, server.config)
            server.probe_failed(error)
            self._reports.is_left_alone(server, error)
        except Exception as error:  # a bug must not end the other servers' tasks
            logger.exception("probing server %s", server.name)
            server.probe_failed(error)
        else:
            was_known = server.metadata is not None
            server.probe_succeeded(metadata)
            if was_known:
                self._reports.is_back(server)
            else:
                self._reports.works(server.name)
            return True
        return False

    async def _ask(self, server: Server) -> ModelMetadata:
        if not server.is_connected:
            await server.transport.open()
            server.is_connected = True
        metadata = await ask_for_model(
            server.transport,
            self._config.model_name,
            self._config.model_version,
            timeout_s=self._config.health.probe_timeout_s,
        )
        if self._config.pin.config_pbtxt is not None:
            check_pinned_model(
                metadata, self._config.pin.config_pbtxt, server=server.name
            )
        self._compare(metadata, server)
        if server.metadata is None:  # before anything is sent
            server.first_counters = await self.count(server)
        return metadata

    def _compare(self, metadata: ModelMetadata, server: Server) -> None:
        if self._reference is None:
            self._reference = (metadata, server.name)
            return
        reference, known_from = self._reference
        check_same_model(
            metadata, server=server.name, reference=reference, known_from=known_from
        )
        if metadata.parameters != reference.parameters:
            logger.warning(
                "model %s at %s has other parameters than at %s: not the same weights?",
                metadata.name,
                server.name,
                known_from,
            )

    async def _describe_again(self, server: Server) -> None:
        try:
            server.metadata = await self._ask(server)
        except ServerError as error:
            logger.info("the model could not be described again: %s", error)
        except SonicError as error:
            if server.note_out(error):
                self._reports.is_left_alone(server, error)
                self._changed(server)
                await self._probe_until_usable(server)

    async def count(self, server: Server) -> ServerCounters | None:
        """Return the server's counters of the model; None if it gives none."""
        try:
            return await server.transport.count(
                self._config.model_name,
                self._config.model_version,
                timeout_s=min(COUNT_TIMEOUT_S, self._config.startup_timeout_s),
            )
        except SonicError as error:
            logger.info("no server counters in the summary: %s", error)
            return None
