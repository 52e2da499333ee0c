"""An open HTTP port: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache, partial
from typing import Any, TypeVar

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from mock_server.core.endpoints import in_url, is_loopback
from mock_server.scheduling.threads import join_threads

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ResultT = TypeVar("ResultT")

MAX_CONNECTIONS = 512
"""Open at once: each holds a descriptor, of which a process has 1024 or so."""

FIRST_REQUEST_S = 30.0
"""Until the header of a connection's first request must be complete."""

KEEPALIVE_S = 75.0
"""Until that of the next one must be."""

_SHUTDOWN_S = 0.01
"""Before requests are cancelled; aiohttp takes 0 for no limit."""


class HttpEndpoint:
    """Listens from construction to `close`.

    Parameters
    ----------
    handler : callable
        Answers every request on every path. It is cancelled if the client leaves.
    host : str
    port : int
        0 takes a free one.
    max_body_bytes : int
        Longer bodies make ``request.read`` fail.
    max_header_bytes : int
        Longer lines, names and values of the header are refused, status 400.
    name : str
        The thread's name.
    on_close : callable
        Called when no request is left, to end the threads of the handler.

    Raises
    ------
    OSError
        If the address cannot be listened on.
    """

    def __init__(
        self,
        handler: Handler,
        host: str,
        port: int,
        *,
        max_body_bytes: int,
        max_header_bytes: int = 8190,
        name: str = "mock-server-http",
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self._silent: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._listener: asyncio.Server | None = None
        self._runner = runner_of(
            self._heard(_for_no_web_page(handler, is_local=is_loopback(host))),
            max_body_bytes=max_body_bytes,
            max_header_bytes=max_header_bytes,
        )
        self._loop = asyncio.new_event_loop()
        self._on_close = on_close
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=name, daemon=True
        )
        self._thread.start()
        try:
            self.port = self._run(self._open(host, port))
        except OSError as error:
            self.close()
            raise OSError(
                f"cannot listen on {host}:{port}: {error.strerror or error}"
            ) from error
        self.url = f"http://{in_url(host)}:{self.port}"

    async def _open(self, host: str, port: int) -> int:
        await self._runner.setup()
        assert self._runner.server is not None  # since `setup`
        self._listener = await self._loop.create_server(
            partial(_Entrance, self._runner.server, self._silent), host, port
        )
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def close(self) -> None:
        """Cancel the requests in flight, and stop listening."""
        self._run(self._end())
        self._on_close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        if join_threads([self._thread]):
            self._loop.close()

    async def _end(self) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    def _heard(self, handler: Handler) -> Handler:
        """Return a handler after whose first request a connection may stay open."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.transport is not None:
                timer = self._silent.pop(request.transport, None)
                if timer is not None:
                    timer.cancel()
            return await handler(request)

        return answer

    def _run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class _Entrance(asyncio.Protocol):
    """Hands a new connection on to aiohttp, if there is room for it.

    aiohttp itself waits for the first request for ever.
    """

    def __init__(
        self,
        server: web.Server,
        silent: dict[asyncio.BaseTransport, asyncio.TimerHandle],
    ) -> None:
        self._server, self._silent = server, silent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if len(self._server.connections) >= MAX_CONNECTIONS:
            transport.write(_FULL)
            transport.close()
            return
        self._silent[transport] = asyncio.get_running_loop().call_later(
            FIRST_REQUEST_S, self._give_up, transport
        )
        protocol = self._server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def _give_up(self, transport: asyncio.Transport) -> None:
        self._silent.pop(transport, None)
        transport.abort()


def _for_no_web_page(handler: Handler, *, is_local: bool) -> Handler:
    """Return a handler that refuses what a page in a browser of this machine sends.

    Any page can send requests to loopback. Its browser names the page in ``Origin``, or
    says ``Sec-Fetch-Site: cross-site``; a page that let its own name stand for an
    address of this machine ("DNS rebinding") has that name in ``Host``.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = request.headers
        site = headers.get("Sec-Fetch-Site", "none")
        is_of_page = "Origin" in headers or site not in ("none", "same-origin")
        if is_of_page or (is_local and not _names_this_machine(headers.get("Host"))):
            text = '{"error":"requests of web pages, or to another host, are refused"}'
            return web.Response(status=403, text=text, content_type="application/json")
        return await handler(request)

    return answer


@lru_cache(64)  # clients send the same one with every request
def _names_this_machine(header: str | None) -> bool:
    if header is None:  # no browser
        return True
    host, _, _port = header.rpartition(":") if ":" in header else (header, "", "")
    return is_loopback(header.strip("[]")) or is_loopback(host.strip("[]"))


def runner_of(
    handler: Handler, *, max_body_bytes: int, max_header_bytes: int
) -> web.AppRunner:
    """Return aiohttp's part of an `HttpEndpoint`, of the same parameters."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_no_bad_request)  # the same one is added only once
    application = web.Application(client_max_size=max_body_bytes)
    application.router.add_route(
        "*", "/{path:.*}", handler, expect_handler=_answer_expectation
    )
    return web.AppRunner(
        application,
        handle_signals=False,
        access_log=None,
        logger=logger,
        handler_cancellation=True,
        auto_decompress=False,
        max_line_size=max_header_bytes,
        max_field_size=max_header_bytes,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=_SHUTDOWN_S,
    )


async def _answer_expectation(request: web.Request) -> None:
    """Ask for the body, as `Expect` wishes; aiohttp's own fails if it is not ASCII."""
    if request.version < HttpVersion11:
        return
    if request.headers["Expect"].lower() != "100-continue":
        raise web.HTTPExpectationFailed
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # nothing of the answer itself is sent yet


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    """Leave out bytes that are not HTTP, and clients that have left.

    aiohttp deals with both, and logs a traceback.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)
