"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

from sonic_client.config import ClientConfig
from sonic_client.errors import ClientClosedError
from sonic_client.fallback import FallbackLike
from sonic_client.mapping import map_in_loop
from sonic_client.report.observer import Observer
from sonic_client.report.statistics import ClientStatistics
from sonic_client.report.summary import JobSummary
from sonic_client.retry import Timing
from sonic_client.session import Session, open_session
from sonic_client.transport import TransportLike, connector_of
from sonic_client.types import Failure, ModelMetadata, Outcome, Request, Tensors

__all__ = ["AsyncClient"]


class AsyncClient:
    """A model on a server, for one event loop.

    Use it as an async context manager: entering connects and reads the model's
    metadata once, leaving cancels what is in flight.

    Parameters
    ----------
    config : ClientConfig
    transport : Transport or callable, optional
        Instead of those that `config.servers` asks for; of several servers a
        function that returns the one of a `ServerConfig`.
    timing : Timing, optional
        Clock, sleep and jitter of the retries.
    observers : sequence of Observer
        Are told what happens, beside the client's own statistics.
    fallback : FallbackServer, callable or str, optional
        Answers when no server does; instead of the one that `config.fallback`
        names. A text is such a name, e.g. ``mock``. A function from named tensors
        to named tensors is called in a thread.

    Examples
    --------
    ::

        async with AsyncClient(config) as client:
            outputs = await client.infer({"FEATURES": features})
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        transport: TransportLike | None = None,
        timing: Timing | None = None,
        observers: Sequence[Observer] = (),
        fallback: FallbackLike | str | None = None,
    ) -> None:
        self.config = config
        self._transport = transport
        self._timing = timing or Timing()
        self._observers = tuple(observers)
        self._fallback = fallback
        self._context: AbstractAsyncContextManager[Session] | None = None
        self._session: Session | None = None

    # Any: the values of the attributes.
    def __getstate__(self) -> dict[str, Any]:
        """Pickle it as one that was never opened: connections cannot travel."""
        return {**vars(self), "_context": None, "_session": None}

    async def __aenter__(self) -> Self:
        """Connect and read the model's metadata.

        Raises
        ------
        SonicError
            The only server's own error.
        NoServerError
            None of several servers was ready within `config.startup_timeout_s`.
        ConfigError
            The model does not fit the layout, or there is no such fallback.
        """
        if self._context is not None:
            raise ClientClosedError("a client is opened once; make another one")
        context = open_session(
            self.config,
            connector_of(self._transport),
            timing=self._timing,
            observers=self._observers,
            fallback=self._fallback,
        )
        self._session = await context.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._context = context
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what is in flight and close the connection."""
        if self._context is None or self._session is None:
            return
        try:
            if kind is None:
                await self._session.count_last()
        finally:
            await self._context.__aexit__(kind, error, traceback)

    @property
    def metadata(self) -> ModelMetadata:
        """What the server said about the model when the client was opened."""
        return self._last_session().metadata

    async def infer(self, inputs: Tensors) -> Tensors:
        """Return the model's outputs for one set of inputs, as read-only arrays.

        Calls made at the same time share messages, where the layout allows it.
        Cancelling the caller cancels the call on the wire.

        Raises
        ------
        TensorMismatchError
            The inputs differ from what the model declares; nothing was sent.
        RejectedRequestError
            The server refused the request.
        GivenUpError
            The tries or the time were used up.
        InvalidAnswerError
            The outputs differ from what the model declares.
        """
        session = self._opened()
        checked = session.check(Request("infer", inputs))
        outcome = await session.infer(checked)
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome.outputs

    def map(
        self,
        requests: Iterable[Request] | AsyncIterable[Request],
        *,
        ordered: bool = True,
    ) -> AsyncGenerator[Outcome, None]:
        """Yield exactly one outcome a request, with many requests in flight.

        Parameters
        ----------
        requests : iterable or async iterable of Request
            Read ahead by a task, as the window allows. A plain iterable is read in
            the event loop: reading that takes long belongs in an async one, or in
            `Client`.
        ordered : bool
            Yield in the order of the requests, or else in that of the answers.

        Raises
        ------
        Exception
            What `requests` raises passes through, after everything in flight was
            cancelled. Failed requests raise nothing: their outcome is a `Failure`.

        Notes
        -----
        Closing the generator, or cancelling the caller, cancels what is in
        flight. Use `contextlib.aclosing` where iteration may end early.
        """
        return map_in_loop(self._opened(), requests, ordered=ordered)

    def statistics(self) -> ClientStatistics:
        """Return a snapshot of what was sent and answered so far."""
        return self._last_session().recorder.snapshot()

    async def summary(self) -> JobSummary:
        """Return the summary up to now; after closing, that of the whole job.

        While the client is open the server is asked for its counters.
        """
        session = self._last_session()
        await session.count_last()
        return session.summary()

    def _opened(self) -> Session:
        session = self._last_session()
        if session.has_ended:
            raise ClientClosedError("the client is closed")
        if self._loop_now() not in (self._loop, None):
            raise ClientClosedError(
                "the client was opened in another event loop: open one in each "
                "`asyncio.run`, or use `Client`"
            )
        return session

    def _last_session(self) -> Session:
        if self._session is None:
            raise ClientClosedError("the client is not open: use it in `async with`")
        return self._session

    @staticmethod
    def _loop_now() -> asyncio.AbstractEventLoop | None:
        """Return the running loop; None in a fork, which the transport refuses."""
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None
