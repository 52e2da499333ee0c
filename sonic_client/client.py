"""The asynchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from sonic_client.config import ClientConfig
from sonic_client.errors import ClientClosedError
from sonic_client.fallback import FallbackLike
from sonic_client.flow import Session, map_in_loop, open_session
from sonic_client.report.observer import Observer
from sonic_client.report.statistics import ClientStatistics
from sonic_client.report.summary import JobSummary
from sonic_client.retry import Timing
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
        Used in place of the transports that `config.servers` asks for; with several
        servers, a function that returns the transport of a `ServerConfig`.
    timing : Timing, optional
        Clock, sleep and jitter of the retries.
    observers : sequence of Observer
        Are told what happens, like the client's own statistics.
    fallback : FallbackServer, callable or str, optional
        Answers when no server does, in place of the one that `config.fallback` names.
        A text is such a name, e.g. ``mock``. A function from named tensors to named
        tensors is called in a thread.

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

    def __getstate__(self) -> dict[str, object]:
        """Pickle it as one that was never opened, because connections do not pickle."""
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
            raise ClientClosedError("a client opens only once: make another one")
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
                await self._session.update_counters()
        finally:
            await self._context.__aexit__(kind, error, traceback)

    @property
    def metadata(self) -> ModelMetadata:
        """The model as the server described it when the client was opened."""
        return self._last_session().metadata

    async def infer(self, inputs: Tensors) -> Tensors:
        """Return the model's outputs for one set of inputs, as read-only arrays.

        Calls made at the same time share messages where the layout allows it.
        Cancelling the caller cancels the call to the server.

        Raises
        ------
        TensorMismatchError
            The inputs differ from what the model declares; nothing was sent.
        RejectedRequestError
            The server refused the request.
        GivenUpError
            The tries or the time are used up.
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
            the event loop and blocks it; if reading takes long, use an async iterable,
            or `Client`.
        ordered : bool
            Yield in the order of the requests, or else in the order of the answers.

        Raises
        ------
        Exception
            An exception of `requests` passes through, after everything in flight was
            cancelled. Failed requests raise nothing: their outcome is a `Failure`.

        Notes
        -----
        Closing the generator, or cancelling the caller, cancels what is in
        flight. Use `contextlib.aclosing` where iteration may end early.
        """
        return map_in_loop(self._opened(), requests, ordered=ordered)

    def statistics(self) -> ClientStatistics:
        """Return a snapshot of the counters up to now."""
        return self._last_session().recorder.snapshot()

    async def summary(self) -> JobSummary:
        """Return the summary up to now; after closing, that of the whole job.

        An open client asks the servers for their counters.
        """
        session = self._last_session()
        await session.update_counters()
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
        """Return the running loop; None in a fork, where the transport raises."""
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None
