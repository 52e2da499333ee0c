"""The blocking client: plain calls to a session in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

from sonic_client.config import ClientConfig
from sonic_client.errors import ClientClosedError
from sonic_client.fallback import FallbackLike
from sonic_client.flow import LoopThread, map_in_thread, open_session
from sonic_client.report.observer import Observer
from sonic_client.report.statistics import ClientStatistics
from sonic_client.report.summary import JobSummary
from sonic_client.retry import Timing
from sonic_client.transport import TransportLike, connector_of
from sonic_client.types import Failure, ModelMetadata, Outcome, Request, Tensors

__all__ = ["Client"]


class Client:
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
    belongs to one thread.

    Examples
    --------
    ::

        with Client(config) as client:
            for outcome in client.map(requests):
                ...
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
        self._thread: LoopThread | None = None

    def __getstate__(self) -> dict[str, object]:
        """Pickle it as one that was never opened, because connections do not pickle."""
        return {**vars(self), "_thread": None}

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
        if self._thread is not None:
            raise ClientClosedError("a client opens only once: make another one")
        thread = LoopThread(
            partial(
                open_session,
                self.config,
                connector_of(self._transport),
                timing=self._timing,
                observers=self._observers,
                fallback=self._fallback,
            )
        )
        thread.open()
        self._thread = thread
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

    @property
    def metadata(self) -> ModelMetadata:
        """The model as the server described it when the client was opened."""
        return self._opened().session.metadata

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
        outcome = thread.run(lambda: thread.session.infer(checked))
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome.outputs

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

    def statistics(self) -> ClientStatistics:
        """Return a snapshot of the counters up to now."""
        return self._last_thread().session.recorder.snapshot()

    def summary(self) -> JobSummary:
        """Return the summary up to now; after closing, that of the whole job.

        An open client asks the servers for their counters.
        """
        thread = self._last_thread()
        with suppress(ClientClosedError):
            thread.run(thread.session.update_counters)
        return thread.session.summary()

    def _opened(self) -> LoopThread:
        thread = self._last_thread()
        if not thread.is_open:
            raise ClientClosedError("the client is closed")
        return thread

    def _last_thread(self) -> LoopThread:
        if self._thread is None:
            raise ClientClosedError("the client is not open: use it in `with`")
        return self._thread
