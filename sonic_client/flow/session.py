"""An open client: connected, described, counted, and closed in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sonic_base import SonicError
from sonic_client.batching import (
    BatchingLayout,
    CheckedRequest,
    MessageLimits,
    cast_inputs,
    layout_of,
)
from sonic_client.config import ClientConfig, ServerConfig
from sonic_client.fallback import FallbackLike, Standby, fallback_server
from sonic_client.flow.adaptive_window import AdaptiveWindow
from sonic_client.flow.coalescing import Coalescer
from sonic_client.flow.in_flight import InFlight
from sonic_client.flow.window import Finished
from sonic_client.message import (
    AdaptiveTimeout,
    AnswerCache,
    AnswerChecker,
    Backends,
    Dispatcher,
)
from sonic_client.report.observer import Observer, Observers
from sonic_client.report.statistics import StatisticsRecorder
from sonic_client.report.summary import JobSummary, ServerInterval
from sonic_client.retry import Timing
from sonic_client.servers import ServerPool
from sonic_client.transport import Transport, transport_for
from sonic_client.types import ModelMetadata, Outcome, Request

__all__ = ["Session", "open_session"]

logger = logging.getLogger(__name__)


class Session:
    """The state of an open client, asynchronous or blocking."""

    def __init__(
        self,
        metadata: ModelMetadata,
        backends: Backends,
        recorder: StatisticsRecorder,
        tasks: asyncio.TaskGroup,
        *,
        adaptive_window: AdaptiveWindow | None,
    ) -> None:
        self.config = config = backends.config
        self.metadata = metadata
        self.layout: BatchingLayout = layout_of(config, metadata)
        self.limits = MessageLimits(
            self.layout, [server.name for server in config.servers]
        )
        self.recorder, self.timing = recorder, backends.timing
        self.adaptive_window = adaptive_window
        self._dispatcher = Dispatcher(
            backends,
            metadata,
            self.layout,
            self.limits,
            checker=AnswerChecker(
                metadata, self.layout, config.answers, observer=backends.observer
            ),
            cache=AnswerCache(config.cache, metadata) if config.cache.is_on else None,
        )
        self._specs = {spec.name: spec for spec in metadata.inputs}
        self._pool = backends.pool
        self._tasks = tasks
        self._open: set[InFlight] = set()
        self._coalescer = Coalescer(
            self.limits,
            self.open_in_flight,
            max_delay_s=config.batching.max_delay_s,
            timing=self.timing,
        )
        self._servers: dict[str, ServerInterval] = {}
        self._started_at_s = time.time()
        self._ended_at_s: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it was closed."""
        return self._ended_at_s is not None

    def check(self, request: Request) -> CheckedRequest:
        """Cast a request's arrays as the policy allows, and check it."""
        return self.layout.check(cast_inputs(request, self._specs, self.config.cast))

    async def infer(self, item: CheckedRequest) -> Outcome:
        """Return the outcome of one request, which may share a message with others."""
        if self.layout.max_events > 1 and item.error is None:
            return await self._coalescer.infer(item)
        (outcome,) = await self._dispatcher.send([item])
        return outcome

    def open_in_flight(self, finished: Callable[[Finished], None]) -> InFlight:
        """Return what sends the messages of a new `map`; close it in the end."""
        in_flight = InFlight(self._dispatcher, self._tasks, finished)
        self._open.add(in_flight)
        return in_flight

    async def close_in_flight(self, in_flight: InFlight) -> None:
        """Cancel the messages of a `map` that are still in flight."""
        await in_flight.cancel_all()
        self._open.discard(in_flight)

    async def update_counters(self) -> None:
        """Ask the servers for their counters, unless the session was closed."""
        if not self.has_ended:
            self._servers.update(await self._pool.intervals())

    async def end(self) -> None:
        """Cancel everything in flight and stop the clock of the summary."""
        for in_flight in tuple(self._open):
            await self.close_in_flight(in_flight)
        self._ended_at_s = time.time()

    def summary(self) -> JobSummary:
        """Return the summary up to now, with the servers' counters as last read."""
        ended_at_s = self._ended_at_s
        return JobSummary(
            models=(self.metadata.name,),
            started_at_s=self._started_at_s,
            ended_at_s=time.time() if ended_at_s is None else ended_at_s,
            client=self.recorder.snapshot(),
            servers=dict(self._servers),
            compression=self._pool.compression(),
        )


@asynccontextmanager
async def open_session(
    config: ClientConfig,
    connect: Callable[[ServerConfig], Transport] = transport_for,
    *,
    timing: Timing,
    observers: Sequence[Observer] = (),
    fallback: FallbackLike | str | None = None,
) -> AsyncIterator[Session]:
    """Connect, read the model's metadata once, and close in order.

    Raises
    ------
    SonicError
        The only server's own error.
    NoServerError
        None of several servers was ready within ``config.startup_timeout_s``.
    ConfigError
        The model does not fit the layout, or there is no such fallback.
    """
    recorder = StatisticsRecorder()
    adaptive_timeout = adaptive_window = None
    if config.adaptive.timeout:
        adaptive_timeout = AdaptiveTimeout(config.adaptive)
    if config.adaptive.window:
        adaptive_window = AdaptiveWindow(
            config.adaptive,
            max_requests=config.window.max_requests,
            clock=timing.clock,
        )
    adaptive = [each for each in (adaptive_window, adaptive_timeout) if each]
    observer = Observers((recorder, *adaptive, *observers))
    standby = _standby(config, connect, fallback)
    tasks = asyncio.TaskGroup()
    pool = ServerPool(config, connect, observer=observer, tasks=tasks, timing=timing)
    # Entered by hand, because `async with` would wrap the caller's own exceptions in a
    # group. All tasks are cancelled before it is left, so leaving does not wait.
    await tasks.__aenter__()
    try:
        metadata = await _describe(config, pool, standby)
        backends = Backends(
            config,
            pool,
            standby,
            observer=observer,
            timing=timing,
            adaptive_timeout=adaptive_timeout,
        )
        session = Session(
            metadata, backends, recorder, tasks, adaptive_window=adaptive_window
        )
        try:
            yield session
        finally:
            await session.end()
    finally:
        await pool.close()
        await tasks.__aexit__(None, None, None)
        if standby is not None:
            await standby.close()


def _standby(
    config: ClientConfig,
    connect: Callable[[ServerConfig], Transport],
    fallback: FallbackLike | str | None,
) -> Standby | None:
    settings = config.fallback
    if isinstance(fallback, str):
        settings, fallback = replace(settings, name=fallback), None
    if fallback is None and settings.name:
        fallback = fallback_server(settings.name, config.model_name, settings.options)
    return None if fallback is None else Standby(fallback, settings, connect)


async def _describe(
    config: ClientConfig, pool: ServerPool, standby: Standby | None
) -> ModelMetadata:
    """Return the model as the first server describes it, or else the fallback."""
    try:
        metadata = await pool.open()
    except SonicError as error:
        if standby is None or not standby.describes_itself:
            raise
        pool.reports.falls_back(standby.name, error)
        metadata = await standby.describe(
            config.model_name,
            config.model_version,
            timeout_s=config.startup_timeout_s,
        )
        pool.open_with(metadata, standby.name)
    else:
        logger.info("opened model %s version %s", metadata.name, metadata.version)
    return metadata
