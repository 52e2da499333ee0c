"""KServe v2 over HTTP, with binary tensors, as Triton speaks it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import quote

from sonic_base.errors import ConfigError, SonicError
from sonic_client.compression_report import CompressionReport
from sonic_client.config import ServerConfig, TlsConfig
from sonic_client.errors import (
    ClientClosedError,
    InvalidAnswerError,
    Mismatch,
    RejectedRequestError,
    TransientError,
)
from sonic_client.forks import ProcessGuard
from sonic_client.transport.base import InferCall, InferReply, ServerCounters
from sonic_client.transport.compression import CompressionMeter
from sonic_client.transport.headers import CallHeaders, Headers
from sonic_client.transport.http_messages import (
    JSON_LENGTH_HEADER,
    decode_body,
    encode_body,
)
from sonic_client.transport.http_replies import (
    model_metadata,
    model_states,
    server_counters,
)
from sonic_client.transport.message_size import check_message_size
from sonic_client.types import ModelMetadata, ModelState

try:
    import aiohttp

    from sonic_client.transport.http_status import error_of_exception, error_of_response
except ModuleNotFoundError as missing:
    raise ConfigError(
        "http:// servers need the package aiohttp: pip install 'sonic-tracking[http]'"
    ) from missing

__all__ = ["HttpTransport"]

ReplyT = TypeVar("ReplyT")


class HttpTransport:
    """The HTTP connections to one server.

    Parameters
    ----------
    server : ServerConfig
        With scheme ``http`` or ``https``.
    """

    def __init__(self, server: ServerConfig) -> None:
        self._config = server
        self._headers = CallHeaders(server)
        self._meter = CompressionMeter(server.compression)
        self._guard = ProcessGuard(f"the connection to {server.url}")
        self._session: aiohttp.ClientSession | None = None
        self._encodings = {"Accept-Encoding": "identity"}
        if server.compression != "none":
            name = server.compression
            self._encodings = {"Accept-Encoding": name, "Content-Encoding": name}

    @property
    def server(self) -> str:
        """``http://host:port``, or ``https://``."""
        return self._config.url

    @property
    def compression(self) -> CompressionReport:
        """What compressing the requests saved so far."""
        return self._meter.report

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
            # Deadlines are set call by call.
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close the connections; calls in flight are cancelled."""
        session, self._session = self._session, None
        if session is not None and not self._guard.is_forked:
            await session.close()

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether it is ready, which implies that it is live."""
        try:
            await self._exchange("GET", "health/ready", timeout_s=timeout_s, headers={})
        except RejectedRequestError as refusal:
            if refusal.status != "INVALID_ARGUMENT":
                raise
            raise TransientError(
                server=self.server, status="UNAVAILABLE", details="not ready"
            ) from refusal

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Ask for the state of every model version."""
        reply = await self._ask("POST", "repository/index", timeout_s=timeout_s)
        return self._read(model_states, reply)

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Ask for the model's metadata and configuration."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        path = _model_path(model_name, model_version)
        metadata = await self._ask("GET", path, timeout_s=timeout_s)
        config = await self._ask(
            "GET", f"{path}/config", timeout_s=deadline - loop.time()
        )
        return self._read(model_metadata, metadata, config, model_version)

    async def count(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ServerCounters:
        """Ask for the model's statistics, summed over its versions."""
        path = f"{_model_path(model_name, model_version)}/stats"
        reply = await self._ask("GET", path, timeout_s=timeout_s)
        return self._read(server_counters, reply)

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Run the model; the call is cancelled `timeout_s` from now."""
        check_message_size(call, self._config)
        json_length, parts = encode_body(call)
        headers, content = await self._exchange(
            "POST",
            f"{_model_path(call.model_name, call.model_version)}/infer",
            timeout_s=timeout_s,
            headers={
                **self._encodings,
                JSON_LENGTH_HEADER: str(json_length),
                "Content-Type": "application/octet-stream",
                **call.headers,
            },
            body=self._meter.compress(b"".join(parts)),
        )
        return decode_body(
            content,
            # Without the header there is no binary data: all is JSON.
            json_length=int(headers.get(JSON_LENGTH_HEADER, len(content))),
            model=call.model_name,
            server=self.server,
            output_regions=call.output_regions,
        )

    async def register_region(
        self, name: str, *, key: str, n_bytes: int, timeout_s: float
    ) -> None:
        """Let the server map a POSIX shared memory object, under a name."""
        await self._ask(
            "POST",
            f"systemsharedmemory/region/{quote(name, safe='')}/register",
            timeout_s=timeout_s,
            question={"key": key, "offset": 0, "byte_size": n_bytes},
        )

    async def unregister_region(self, name: str, *, timeout_s: float) -> None:
        """Let the server unmap it; without effect if it knows no such name."""
        path = f"systemsharedmemory/region/{quote(name, safe='')}/unregister"
        await self._ask("POST", path, timeout_s=timeout_s)

    # Any: JSON.
    async def _ask(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        question: Mapping[str, object] | None = None,
    ) -> Any:
        _, content = await self._exchange(
            method,
            path,
            timeout_s=timeout_s,
            headers={"Accept-Encoding": "identity"},
            body=None if method == "GET" else json.dumps(question or {}).encode(),
        )
        return self._read(json.loads, content) if content else None

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> tuple[Mapping[str, str], bytes]:
        """Return the headers and the content of the answer, if its status is 200."""
        self._guard.check()
        if self._session is None:
            raise ClientClosedError(f"the connection to {self.server} is not open")
        ask = partial(
            self._session.request,
            method,
            f"{self.server}/v2/{path}",
            allow_redirects=False,
            server_hostname=self._config.tls.server_name,
        )

        async def attempt(sent: Headers) -> tuple[Mapping[str, str], bytes]:
            failure: SonicError | None = None
            try:
                # A stream is sent piece by piece, and so does not hold up other calls.
                data = BytesIO(body) if body else None
                async with ask(headers=sent, data=data) as reply:
                    content = await reply.read()
            except (aiohttp.ClientError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise  # of the deadline below
                failure = error_of_exception(error, server=self.server)
                if not isinstance(error, aiohttp.ClientResponseError):
                    raise failure from error
            if failure is not None:
                # aiohttp's error holds the headers, and with them the token: outside of
                # its handler, ours does not keep it as its context.
                raise failure
            if reply.status != 200:
                shown = self._headers.hide(content.decode(errors="replace"))
                raise error_of_response(reply.status, shown, server=self.server)
            return reply.headers, content

        try:
            async with asyncio.timeout(timeout_s):
                return await self._headers.authorised(attempt, headers)
        except SonicError:
            raise
        except TimeoutError as error:
            raise error_of_exception(error, server=self.server) from error

    # Any: JSON.
    def _read(self, reader: Callable[..., ReplyT], *replies: Any) -> ReplyT:
        """Return what is read from a server's replies."""
        try:
            return reader(*replies)
        # What a foreign server may put where these keys are expected.
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidAnswerError(
                model="*",
                server=self.server,
                mismatches=[Mismatch("*", "an answer of KServe v2", repr(error))],
            ) from error


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
