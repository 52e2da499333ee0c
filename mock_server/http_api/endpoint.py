"""An open HTTP port: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from mock_server.core.endpoints import in_url, is_loopback
from mock_server.scheduling.threads import join_threads

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ResultT = TypeVar("ResultT")

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
        self._runner = runner_of(
            _for_no_web_page(handler, is_local=is_loopback(host)),
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
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    def close(self) -> None:
        """Cancel the requests in flight, and stop listening."""
        self._run(self._runner.cleanup())
        self._on_close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        if join_threads([self._thread]):
            self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


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
