"""An open connection to one model: described, counted, and closed in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from sonic_client.answering import Answering
from sonic_client.answers import AnswerChecker
from sonic_client.batching import (
    BatchingLayout,
    CheckedRequest,
    MessageLimits,
    layout_of,
)
from sonic_client.cache import AnswerCache
from sonic_client.casting import cast_inputs
from sonic_client.config import ClientConfig
from sonic_client.dispatch import Dispatcher
from sonic_client.errors import (
    GivenUpError,
    ServerError,
    ServerUnreachableError,
    TryTimedOutError,
)
from sonic_client.flights import Flights
from sonic_client.joining import Joiner
from sonic_client.observer import Observer, Observers
from sonic_client.retry import Timing, call_with_retry
from sonic_client.statistics import StatisticsRecorder
from sonic_client.summary import JobSummary, ServerCounters, ServerInterval
from sonic_client.transport.base import Transport
from sonic_client.types import ModelMetadata, Outcome, Request
from sonic_client.window import Landing

__all__ = ["Session", "open_session"]

# Counters are a courtesy of the server: nobody should wait for them at the end.
_COUNT_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


class Session:
    """What the clients, asynchronous and blocking, share while they are open.

    Attributes
    ----------
    config : ClientConfig
    metadata : ModelMetadata
    layout : BatchingLayout
    limits : MessageLimits
    answering : Answering
    recorder : StatisticsRecorder
    timing : Timing
    """

    def __init__(
        self,
        config: ClientConfig,
        metadata: ModelMetadata,
        transport: Transport,
        tasks: asyncio.TaskGroup,
        *,
        timing: Timing,
        observers: Sequence[Observer],
    ) -> None:
        self.config, self.metadata = config, metadata
        self.layout: BatchingLayout = layout_of(config, metadata)
        self.limits = MessageLimits(self.layout)
        self.recorder = StatisticsRecorder()
        observer = Observers((self.recorder, *observers))
        checker = AnswerChecker(
            metadata, self.layout, config.answers, observer=observer
        )
        dispatcher = Dispatcher(
            config,
            self.layout,
            self.limits,
            checker,
            transport=transport,
            observer=observer,
            timing=timing,
        )
        cache = AnswerCache(config.cache, metadata) if config.cache.is_on else None
        self.answering = Answering(
            dispatcher, checker, cache, metadata=metadata, observer=observer
        )
        self._specs = {spec.name: spec for spec in metadata.inputs}
        self.timing = timing
        self._transport = transport
        self._tasks = tasks
        self._open_flights: set[Flights] = set()
        self._joiner = Joiner(
            self.limits, max_delay_s=config.batching.max_delay_s, timing=timing
        )
        self._joiner.flights = self.open_flights(self._joiner.landed)
        self._first_counters: ServerCounters | None = None
        self._last_counters: ServerCounters | None = None
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
        """Return the outcome of one request, which others may travel with."""
        if self.layout.max_events > 1 and item.error is None:
            return await self._joiner.infer(item)
        (outcome,) = await self.answering.send([item])
        return outcome

    def open_flights(self, landed: Callable[[Landing], None]) -> Flights:
        """Return the flights of a new `map`; `close_flights` must follow."""
        flights = Flights(self.answering, self._tasks, landed)
        self._open_flights.add(flights)
        return flights

    async def close_flights(self, flights: Flights) -> None:
        """Cancel what is left of a `map`."""
        await flights.cancel()
        self._open_flights.discard(flights)

    async def count_first(self) -> None:
        """Ask the server for its counters before anything is sent."""
        self._first_counters = self._last_counters = await self._count()

    async def count_last(self) -> None:
        """Ask again, if it answered the first time and the session is open."""
        if not self.has_ended and self._first_counters is not None:
            self._last_counters = await self._count() or self._last_counters

    async def end(self) -> None:
        """Cancel everything in flight and stop the clock of the summary."""
        for flights in tuple(self._open_flights):
            await self.close_flights(flights)
        self._ended_at_s = time.time()

    def summary(self) -> JobSummary:
        """Return the summary up to now, with the server's counters as last read."""
        first, last = self._first_counters, self._last_counters
        servers = (
            {}
            if first is None or last is None
            else {self._transport.server: ServerInterval(first=first, last=last)}
        )
        ended_at_s = self._ended_at_s
        return JobSummary(
            models=(self.metadata.name,),
            started_at_s=self._started_at_s,
            ended_at_s=time.time() if ended_at_s is None else ended_at_s,
            client=self.recorder.snapshot(),
            servers=servers,
        )

    async def _count(self) -> ServerCounters | None:
        try:
            return await self._transport.count(
                self.config.model_name,
                self.config.model_version,
                timeout_s=min(_COUNT_TIMEOUT_S, self.config.startup_timeout_s),
            )
        except ServerError as error:
            logger.info("no server counters in the summary: %s", error)
            return None


@asynccontextmanager
async def open_session(
    config: ClientConfig,
    transport: Transport,
    timing: Timing,
    observers: Sequence[Observer] = (),
) -> AsyncIterator[Session]:
    """Open the transport, read the model's metadata once, and close in order.

    Raises
    ------
    ServerUnreachableError
        No answer within ``config.startup_timeout_s``; the address is named.
    ServerError
        The server answered that it will not, or not now.
    ConfigError
        The model does not fit the layout.
    """
    await transport.open()
    try:
        metadata = await _describe(config, transport, timing)
        tasks = asyncio.TaskGroup()
        session = Session(
            config, metadata, transport, tasks, timing=timing, observers=observers
        )
        await session.count_first()
        logger.info("opened model %s at %s", metadata.name, transport.server)
        # Entered by hand: `async with` would wrap the caller's own exceptions in
        # a group. All tasks are cancelled by `end`, so leaving it does not wait.
        await tasks.__aenter__()
        try:
            yield session
        finally:
            await session.end()
            await tasks.__aexit__(None, None, None)
    finally:
        await transport.close()


async def _describe(
    config: ClientConfig, transport: Transport, timing: Timing
) -> ModelMetadata:
    try:
        return await call_with_retry(
            lambda timeout_s: transport.describe(
                config.model_name, config.model_version, timeout_s=timeout_s
            ),
            retry=config.retry,
            deadline_s=config.startup_timeout_s,
            timing=timing,
        )
    except GivenUpError as error:
        last = error.failures[-1]
        if not isinstance(last, TryTimedOutError):
            raise last from error
        raise ServerUnreachableError(
            server=last.server,
            status=last.status,
            details=f"no answer within {config.startup_timeout_s:g} s",
        ) from error
