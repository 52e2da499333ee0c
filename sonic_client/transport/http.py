"""KServe v2 over HTTP, with binary tensors, as Triton speaks it."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import TypeAlias
from urllib.parse import quote

from sonic_base import ConfigError, SonicError
from sonic_client.config import MAX_MESSAGE_BYTES, ServerConfig, TlsConfig
from sonic_client.errors import (
    ClientClosedError,
    InvalidAnswerError,
    Mismatch,
    RejectedRequestError,
    ServerError,
    TransientError,
)
from sonic_client.transport.base import InferCall, InferReply
from sonic_client.transport.foreign import MAX_DESCRIPTION_BYTES
from sonic_client.transport.headers import Headers
from sonic_client.transport.http_messages import (
    JSON_LENGTH_HEADER,
    decode_body,
    encode_body,
)
from sonic_client.transport.payload import check_message_size
from sonic_client.transport.process_guard import ProcessGuard
from sonic_client.transport.status import (
    KEPT_CONNECTION_ENDED,
    NOT_HTTP_1,
    error_of_http_status,
    error_of_status,
)
from sonic_client.transport.wire import Json, WireTransport

try:
    import aiohttp
except ModuleNotFoundError as missing:
    raise ConfigError(
        "http:// servers need the package aiohttp: pip install 'sonic-tracking[http]'"
    ) from missing

__all__ = ["HttpTransport"]

_PATHS = {
    "ServerMetadata": ("GET", ""),
    "RepositoryIndex": ("POST", "repository/index"),
    "ModelMetadata": ("GET", "{model}"),
    "ModelConfig": ("GET", "{model}/config"),
    "ModelStatistics": ("GET", "{model}/stats"),
    "SystemSharedMemoryRegister": (
        "POST",
        "systemsharedmemory/region/{name}/register",
    ),
    "SystemSharedMemoryUnregister": (
        "POST",
        "systemsharedmemory/region/{name}/unregister",
    ),
}
# Headers and content.
_Reply: TypeAlias = tuple[Mapping[str, str], bytes]
# Characters of a page that is not an answer of a KServe server, such as a proxy's.
_MAX_TEXT = 500
# Bytes that are read of an answer that is an error.
_MAX_ERROR_BYTES = 64 * 1024
# A compressed answer may become this large, or so many times as long as it was.
_PLAIN_BYTES = 64 * 2**20
_MAX_RATIO = 100


class HttpTransport(WireTransport):
    """The HTTP connections to one server.

    Parameters
    ----------
    server : ServerConfig
        With scheme ``http`` or ``https``.
    """

    def __init__(self, server: ServerConfig) -> None:
        super().__init__(server)
        self._session: aiohttp.ClientSession | None = None
        # Whether tensors are sent as binary data; otherwise the server wants JSON.
        self._sends_binary = True
        self._encodings = {"Accept-Encoding": "identity"}
        if server.compression != "none":
            name = server.compression
            self._encodings = {"Accept-Encoding": name, "Content-Encoding": name}

    async def open(self) -> None:
        """Prepare the connections; they are made when first used."""
        self._guard = ProcessGuard(f"the connection to {self.server}")
        tls, n_connections = self._config.tls, self._config.channel.connections
        connector = aiohttp.TCPConnector(
            ssl=_tls_context(tls) if self._config.uses_tls else True,
            limit=0 if n_connections == 1 else n_connections,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trace_configs=[_connection_tracing()],
            trust_env=self._config.proxy and not self._config.is_local,
            # Deadlines are set call by call.
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close the connections; calls in flight are cancelled."""
        session, self._session = self._session, None
        if session is not None and not self._guard.is_forked:
            await session.close()

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether the server is ready, which implies that it is live."""
        try:
            await self._exchange("GET", "health/ready", timeout_s=timeout_s, headers={})
        except RejectedRequestError as refusal:
            if refusal.status != "INVALID_ARGUMENT":
                raise
            raise TransientError(
                server=self.server, status="UNAVAILABLE", details="not ready"
            ) from refusal

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Run the model; the call is cancelled `timeout_s` from now."""
        check_message_size(call, self._config)
        json_length, parts = encode_body(call, is_binary=self._sends_binary)
        form = {"Content-Type": "application/json"}
        if self._sends_binary:
            form = {
                "Content-Type": "application/octet-stream",
                JSON_LENGTH_HEADER: str(json_length),
            }
        headers, content = await self._exchange(
            "POST",
            f"{_model_path(call.model_name, call.model_version)}/infer",
            timeout_s=timeout_s,
            headers={**self._encodings, **form, **call.headers},
            body=self._meter.compress(b"".join(parts)),
            max_bytes=MAX_MESSAGE_BYTES,
        )
        return decode_body(
            content,
            json_length=headers.get(JSON_LENGTH_HEADER),
            call=call,
            server=self.server,
        )

    async def _ask(
        self,
        method: str,
        *,
        name: str = "",
        version: str = "",
        timeout_s: float,
        **question: object,
    ) -> Json:
        verb, path = _PATHS[method]
        _, content = await self._exchange(
            verb,
            path.format(model=_model_path(name, version), name=quote(name, safe="")),
            timeout_s=timeout_s,
            headers={
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
            },
            body=None if verb == "GET" else json.dumps(question).encode(),
        )
        return self._read(json.loads, content) if content else None

    async def _extensions(self, *, timeout_s: float) -> Container[str]:
        extensions = await super()._extensions(timeout_s=timeout_s)
        self._sends_binary = "binary_tensor_data" in extensions
        return extensions

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int = MAX_DESCRIPTION_BYTES,
    ) -> _Reply:
        """Return the headers and the content of an answer of status 200."""
        self._guard.check()
        if self._session is None:
            raise ClientClosedError(f"the connection to {self.server} is not open")
        ask = partial(
            self._session.request,
            method,
            f"{self.server}/v2/{path}".rstrip("/"),
            allow_redirects=False,
            server_hostname=self._config.tls.server_name,
        )

        async def attempt(sent: Headers) -> _Reply:
            outcome = await self._outcome(ask, sent, body, max_bytes)
            # Raised outside of the function that knows the server's words, which the
            # error's traceback would show.
            if isinstance(outcome, SonicError):
                raise outcome
            return outcome

        try:
            async with asyncio.timeout(timeout_s):
                return await self._called(attempt, headers)
        except SonicError:
            raise
        except TimeoutError as error:
            nothing = Headers({})
            late = _error_of_exception(
                error, server=self.server, hide=nothing.hide, connection=_Connection()
            )
            late.__cause__ = nothing.cause(error)
        raise late

    async def _outcome(
        self,
        ask: Callable[..., aiohttp.client._RequestContextManager],
        sent: Headers,
        body: bytes | None,
        max_bytes: int,
    ) -> _Reply | SonicError:
        # A stream is sent in pieces, so it does not delay other calls.
        data = BytesIO(body) if body else None
        connection = _Connection()
        try:
            async with ask(
                headers=sent.pairs(), data=data, trace_request_ctx=connection
            ) as reply:
                connection.has_answered = True
                is_answer = reply.status == 200
                limit = _limit(reply, max_bytes) if is_answer else _MAX_ERROR_BYTES
                content = await _content(reply, limit)
        except (aiohttp.ClientError, OSError) as error:
            failure = _error_of_exception(
                error, server=self.server, hide=sent.hide, connection=connection
            )
            failure.__cause__ = sent.cause(error)
            return failure
        if reply.status < 400 and (not is_answer or len(content) > limit):
            found = f"status {reply.status} and {len(content)} bytes or more"
            expected = f"status 200 and at most {limit} bytes"
            return InvalidAnswerError(
                model="*",
                server=self.server,
                mismatches=[Mismatch("*", expected, found)],
            )
        if not is_answer:
            return _error_of_response(
                reply.status,
                content,
                reply.headers,
                server=self.server,
                hide=sent.hide,
            )
        return reply.headers, content


def _limit(reply: aiohttp.ClientResponse, max_bytes: int) -> int:
    """Return how long an answer may be, in bytes after decompression."""
    if "Content-Encoding" not in reply.headers:
        return max_bytes
    sent_bytes = reply.content_length or 0
    return min(max_bytes, max(_PLAIN_BYTES, _MAX_RATIO * sent_bytes))


async def _content(reply: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return an answer's content, or its begin that is longer than the limit."""
    parts: list[bytes] = []
    n_bytes = 0
    while part := await reply.content.readany():
        parts.append(part)
        n_bytes += len(part)
        if n_bytes > limit:
            reply.close()  # and with it the connection, of which no more is read
            break
    return b"".join(parts)


@dataclass(slots=True)
class _Connection:
    """The connection of one call, as far as it says why the call failed.

    Attributes
    ----------
    is_kept : bool
        Whether an earlier call left it open. Its end may then cross the new request.
    has_answered : bool
        Whether the answer has begun.
    """

    is_kept: bool = False
    has_answered: bool = False


def _connection_tracing() -> aiohttp.TraceConfig:
    """Return what tells a call's `_Connection` whether its connection was kept."""

    async def note(
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        event: aiohttp.TraceConnectionReuseconnParams,
    ) -> None:
        context.trace_request_ctx.is_kept = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(note)
    return tracing


def _model_path(name: str, version: str) -> str:
    path = f"models/{quote(name, safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _tls_context(tls: TlsConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.roots)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(str(f) for f in (tls.roots, tls.certificate, tls.key) if f)
        raise ConfigError(f"tls: cannot use {files}: {error}") from error
    return context


def _error_of_response(
    code: int,
    content: bytes,
    headers: Mapping[str, str],
    *,
    server: str,
    hide: Callable[[str], str],
) -> ServerError:
    """Return the error for an HTTP status code other than 200 and its body."""
    body = content.decode(errors="replace")
    named = _named_error(body)
    return error_of_http_status(
        code,
        _page_error(body, hide) if named is None else hide(named),
        server=server,
        headers={name.lower(): text for name, text in headers.items()},
        is_protocol=named is not None or not body,
    )


def _named_error(body: str) -> str | None:
    """Return the text of an error of Triton or FastAPI; None for any other page."""
    try:
        answer = json.loads(body)
        return str(answer["error"] if "error" in answer else answer["detail"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _page_error(body: str, hide: Callable[[str], str]) -> str:
    """Return what a page of any kind says about an error."""
    text = hide(_page_text(body))
    if text.startswith("Traceback "):  # the last line has the cause
        text = text.rstrip().rpartition("\n")[2]
    return text[:_MAX_TEXT]


def _page_text(body: str) -> str:
    """Return what a proxy's page says: its title, or else its text."""
    if not body.lstrip().startswith("<"):
        return body
    title = re.search(r"<title>(.*?)</title>", body, re.DOTALL | re.IGNORECASE)
    text = title[1] if title else re.sub(r"<[^>]*>", " ", body)
    return " ".join(text.split())


def _error_of_exception(
    error: aiohttp.ClientError | OSError,
    *,
    server: str,
    hide: Callable[[str], str],
    connection: _Connection,
) -> ServerError:
    """Return the error for an exception of aiohttp."""
    if isinstance(error, TimeoutError):
        return error_of_status("DEADLINE_EXCEEDED", "Deadline Exceeded", server=server)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = error.certificate_error
        text = getattr(reason, "verify_message", str(reason))
        hostname = "ostname mismatch" in text or "not valid for" in text
        cause = "Hostname Verification" if hostname else "CERTIFICATE_VERIFY_FAILED"
        details = f"TLS handshake failed: {cause}: {text}"
    elif isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) and not (
        connection.is_kept
    ):
        details = f"TLS handshake failed: {error}"
    elif isinstance(error, aiohttp.ClientConnectorError):
        details = f"failed to connect: {error}"
    elif isinstance(error, aiohttp.ClientResponseError):
        details = f"{NOT_HTTP_1}: {error.message.strip().rstrip(':')}"
    elif connection.is_kept and not connection.has_answered:
        details = f"{KEPT_CONNECTION_ENDED}: {_text_of(error)}"
    else:
        details = f"Connection reset: {_text_of(error)}"
    return error_of_status("UNAVAILABLE", hide(details), server=server)


def _text_of(error: Exception) -> str:
    return str(error) or type(error).__name__
