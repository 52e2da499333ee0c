"""Servers asked for admission in the background, until they are admitted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from sonic_base.errors import SonicError
from sonic_client.config import ClientConfig
from sonic_client.errors import ServerError, ServerOverloadedError
from sonic_client.observer import ServerState
from sonic_client.pinning import check_pin
from sonic_client.retry.timing import Timing
from sonic_client.servers.admission import ask_admission, check_same_model
from sonic_client.servers.announcements import Announcements
from sonic_client.servers.member import Member
from sonic_client.servers.port_check import explain_unreachable
from sonic_client.transport.base import ServerCounters
from sonic_client.types import ModelMetadata

__all__ = ["Admissions"]

logger = logging.getLogger(__name__)

# Counters are a courtesy of the server: nobody should wait long for them.
COUNT_TIMEOUT_S = 2.0


class Admissions:
    """Asks servers whether they take requests, with backoff, for as long as it takes.

    Parameters
    ----------
    config : ClientConfig
    tasks : TaskGroup
        Owns the tasks; `close` ends them.
    announcements : Announcements
    changed : callable
        Is called with every member that was admitted or turned away.
    timing : Timing
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        tasks: asyncio.TaskGroup,
        announcements: Announcements,
        changed: Callable[[Member], None],
        timing: Timing,
    ) -> None:
        self._config, self._timing = config, timing
        self._tasks = tasks
        self._announcements, self._changed = announcements, changed
        self._running: set[asyncio.Task[None]] = set()
        self._reference: tuple[ModelMetadata, str] | None = None

    @property
    def metadata(self) -> ModelMetadata | None:
        """What the first server said about the model; None until one did."""
        return self._reference[0] if self._reference else None

    def adopt(self, metadata: ModelMetadata, known_from: str) -> None:
        """Compare all servers with this, unless one of them spoke first."""
        self._reference = self._reference or (metadata, known_from)

    def start(self, member: Member) -> None:
        """Ask a server until it is admitted."""
        self._run(self._admit(member))

    def describe_again(self, member: Member) -> None:
        """Ask what the model is now; one with other tensors gets no more requests."""
        self._run(self._describe(member))

    async def close(self) -> None:
        """Ask no more."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    # Any: what a coroutine sends and yields is the event loop's business.
    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _admit(self, member: Member) -> None:
        wait_s = member.probe_wait_s()
        if wait_s > 0.0 and not member.is_asked_again:
            await self._timing.sleep(wait_s)
        while not await self._is_admitted(member):
            self._changed(member)
            await self._timing.sleep(member.probe_wait_s())
        self._changed(member)

    async def _is_admitted(self, member: Member) -> bool:
        name = member.name
        try:
            metadata = await self._ask(member)
        except ServerOverloadedError as error:
            member.turned_away(error)
            self._announcements.tell(name, "saturated", str(error))
        except SonicError as error:
            if member.metadata is None:
                error = await explain_unreachable(error, member.config)
            member.turned_away(error)
            self._announcements.tell(name, "open", str(error))
        except Exception as error:  # a bug must not end the other servers' tasks
            logger.exception("asking server %s for admission", name)
            member.turned_away(error)
        else:
            is_back = member.metadata is not None
            member.admitted(metadata)
            state: ServerState = "half_open" if is_back else "healthy"
            self._announcements.tell(name, state, "answers, and has the model")
            return True
        return False

    async def _ask(self, member: Member) -> ModelMetadata:
        if not member.is_open:
            await member.transport.open()
            member.is_open = True
        metadata = await ask_admission(
            member.transport,
            self._config.model_name,
            self._config.model_version,
            timeout_s=self._config.health.probe_timeout_s,
        )
        check_pin(metadata, self._config.pin, server=member.name)
        self._compare(metadata, member)
        if member.metadata is None:  # before anything is sent
            member.first_counters = await self.count(member)
        return metadata

    def _compare(self, metadata: ModelMetadata, member: Member) -> None:
        if self._reference is None:
            self._reference = (metadata, member.name)
            return
        reference, known_from = self._reference
        check_same_model(
            metadata, server=member.name, reference=reference, known_from=known_from
        )
        if metadata.parameters != reference.parameters:
            logger.warning(
                "model %s at %s has other parameters than at %s: not the same weights?",
                metadata.name,
                member.name,
                known_from,
            )

    async def _describe(self, member: Member) -> None:
        try:
            member.metadata = await self._ask(member)
        except ServerError as error:
            logger.info("the model could not be described again: %s", error)
        except SonicError as error:
            if member.put_out(error):
                self._announcements.tell(member.name, "open", str(error))
                self._changed(member)
                await self._admit(member)

    async def count(self, member: Member) -> ServerCounters | None:
        """Return the server's counters of the model; None if it does not say."""
        try:
            return await member.transport.count(
                self._config.model_name,
                self._config.model_version,
                timeout_s=min(COUNT_TIMEOUT_S, self._config.startup_timeout_s),
            )
        except SonicError as error:
            logger.info("no server counters in the summary: %s", error)
            return None
