"""Servers that are asked in the background until they can be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from sonic_base import SonicError
from sonic_client.config import ClientConfig
from sonic_client.errors import ServerError, ServerOverloadedError
from sonic_client.retry.pacing import Timing
from sonic_client.servers.checks import (
    ask_for_model,
    check_pinned_model,
    check_same_model,
    differing_parameters,
    explain_unreachable,
)
from sonic_client.servers.server import Server
from sonic_client.servers.state_reports import StateReports
from sonic_client.transport.base import ServerCounters
from sonic_client.types import ModelMetadata

__all__ = ["Prober"]

logger = logging.getLogger(__name__)

# The counters are not worth a long wait.
COUNT_TIMEOUT_S = 2.0

_MAX_DIFFERENCE = 100
"""Characters about one parameter in a warning."""


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
        if wait_s > 0.0 and not server.is_rechecked_at_once:
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
            was_served=server.metadata is not None,
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
        if differing := differing_parameters(metadata, reference):
            logger.warning(
                "model %s at %s has other parameters than at %s: not the same weights? "
                "%s",
                metadata.name,
                server.name,
                known_from,
                ", ".join(_difference(key, *pair) for key, pair in differing.items()),
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


def _difference(name: str, value: str | None, reference: str | None) -> str:
    """Return what a parameter is and is not; of long values, only that they differ."""
    text = f"{name} {value!r}, not {reference!r}"
    return text if len(text) <= _MAX_DIFFERENCE else name
