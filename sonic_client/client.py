"""The clients: `Client` for plain code, `AsyncClient` for code in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Self

from sonic_client.config import ClientConfig
from sonic_client.errors import ClientClosedError
from sonic_client.fallback import FallbackLike
from sonic_client.flow import (
    LoopThread,
    Session,
    map_in_loop,
    map_in_thread,
    open_session,
)
from sonic_client.report import ClientStatistics, JobSummary, Observer
from sonic_client.retry import Timing
from sonic_client.transport.choice import TransportLike, connector_of
from sonic_client.types import Failure, ModelMetadata, Outcome, Request, Tensors

__all__ = ["AsyncClient", "Client"]


class _ClosedClient:
    """The settings of a client, which pickle; an open client has a session, too."""

    _statement = "with"

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
        self._last_session: Session | None = None

    def _open_session(self) -> AbstractAsyncContextManager[Session]:
        return open_session(
            self.config,
            connector_of(self._transport),
            timing=self._timing,
            observers=self._observers,
            fallback=self._fallback,
        )

    @property
    def _session(self) -> Session:
        if self._last_session is None:
            raise ClientClosedError(
                f"the client is not open: use it in `{self._statement}`"
            )
        return self._last_session

    def _refuse_if_used(self) -> None:
        if self._last_session is not None:
            raise ClientClosedError("a client opens only once: make another one")

    @property
    def metadata(self) -> ModelMetadata:
        """The model as the server described it when the client was opened."""
        return self._session.metadata

    def statistics(self) -> ClientStatistics:
        """Return a snapshot of the counters up to now."""
        return self._session.recorder.snapshot()


class Client(_ClosedClient):
    """A model on a server, for plain code.

    Use it as a context manager: entering starts a thread with an event loop,
    connects and reads the model's metadata once; leaving cancels what is in
    flight and ends the thread.

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

    Notes
    -----
    All methods may be called from several threads; one generator of `map`
    belongs to one thread. A client is pickled as one that was never opened.

    Examples
    --------
    ::

        with Client(config) as client:
            for outcome in client.map(requests):
                ...
    """

    _thread: LoopThread | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the connections out, which do not pickle."""
        return {**vars(self), "_last_session": None, "_thread": None}

    def __enter__(self) -> Self:
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
        self._refuse_if_used()
        thread = LoopThread(self._open_session)
        thread.open()
        self._thread, self._last_session = thread, thread.session
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what is in flight, close the connection, end the thread."""
        if self._thread is None:
            return
        try:
            if kind is None:
                self.summary()
        finally:
            self._thread.close()

    def infer(self, inputs: Tensors) -> Tensors:
        """Return the model's outputs for one set of inputs, as read-only arrays.

        Calls of several threads share messages where the layout allows it. An
        exception while waiting, such as Ctrl-C, cancels the call to the server.

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
        thread = self._opened()
        checked = thread.session.check(Request("infer", inputs))
        return _outputs(thread.run(lambda: thread.session.infer(checked)))

    def map(
        self, requests: Iterable[Request], *, ordered: bool = True
    ) -> Iterator[Outcome]:
        """Yield exactly one outcome a request, with many requests in flight.

        Parameters
        ----------
        requests : iterable of Request
            Read in the caller's thread as the window allows, while earlier requests
            are in flight.
        ordered : bool
            Yield in the order of the requests, or else in the order of the answers.

        Raises
        ------
        Exception
            An exception of `requests` passes through, after everything in flight was
            cancelled. Failed requests raise nothing: their outcome is a `Failure`.

        Notes
        -----
        Closing the generator, or an exception while it waits, such as Ctrl-C,
        cancels what is in flight.
        """
        return map_in_thread(self._opened(), requests, ordered=ordered)

    def summary(self) -> JobSummary:
        """Return the summary up to now; after closing, that of the whole job.

        An open client asks the servers for their counters.
        """
        session = self._session
        if self._thread is not None:
            with suppress(ClientClosedError):
                self._thread.run(session.update_counters)
        return session.summary()

    def _opened(self) -> LoopThread:
        if self._session.has_ended or self._thread is None or not self._thread.is_open:
            raise ClientClosedError("the client is closed")
        return self._thread


class AsyncClient(_ClosedClient):
    """A model on a server, for one event loop.

    Use it as an async context manager: entering connects and reads the model's
    metadata once, leaving cancels what is in flight. The parameters are those of
    `Client`, and so are the exceptions of `infer` and of opening.

    Examples
    --------
    ::

        async with AsyncClient(config) as client:
            outputs = await client.infer({"FEATURES": features})
    """

    _statement = "async with"
    _context: AbstractAsyncContextManager[Session] | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the connections out, which do not pickle."""
        closed = {"_last_session": None, "_context": None, "_loop": None}
        return {**vars(self), **closed}

    async def __aenter__(self) -> Self:
        """Connect and read the model's metadata; raises as `Client` does."""
        self._refuse_if_used()
        context = self._open_session()
        self._last_session = await context.__aenter__()
        self._context, self._loop = context, asyncio.get_running_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what is in flight and close the connection."""
        if self._context is None:
            return
        try:
            if kind is None:
                await self._session.update_counters()
        finally:
            await self._context.__aexit__(kind, error, traceback)

    async def infer(self, inputs: Tensors) -> Tensors:
        """Return the model's outputs for one set of inputs, as read-only arrays.

        Calls made at the same time share messages where the layout allows it.
        Cancelling the caller cancels the call to the server.
        """
        session = self._opened()
        return _outputs(await session.infer(session.check(Request("infer", inputs))))

    def map(
        self,
        requests: Iterable[Request] | AsyncIterable[Request],
        *,
        ordered: bool = True,
    ) -> AsyncGenerator[Outcome, None]:
        """Yield exactly one outcome a request, with many requests in flight.

        As `Client.map`, but a task reads the requests ahead, as the window allows. A
        plain iterable is read in the event loop and blocks it; if reading takes long,
        use an async iterable, or `Client`.

        Notes
        -----
        Closing the generator, or cancelling the caller, cancels what is in
        flight. Use `contextlib.aclosing` where iteration may end early.
        """
        return map_in_loop(self._opened(), requests, ordered=ordered)

    async def summary(self) -> JobSummary:
        """Return the summary up to now; after closing, that of the whole job.

        An open client asks the servers for their counters.
        """
        session = self._session
        await session.update_counters()
        return session.summary()

    def _opened(self) -> Session:
        session = self._session
        if session.has_ended:
            raise ClientClosedError("the client is closed")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return session  # in a fork, where the transport raises
        if loop is not self._loop:
            raise ClientClosedError(
                "the client was opened in another event loop: open one in each "
                "`asyncio.run`, or use `Client`"
            )
        return session


def _outputs(outcome: Outcome) -> Tensors:
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome.outputs
