"""KServe v2 over HTTP: which path is answered by what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mock_server.core.held import HeldBytes
from mock_server.core.inference_core import InferenceCore
from mock_server.core.planned_faults import INFER, NotReadyError, PlannedFaults
from mock_server.errors import ModelError, invalid, unforeseen
from mock_server.http_api import management
from mock_server.http_api.inference import (
    EVENT_STREAM,
    generate,
    generate_events,
    infer,
)
from mock_server.http_api.replies import Reply, decompress, too_large
from mock_server.http_api.requests import Call, is_readable
from mock_server.scheduling.threads import RequestThreads
from mock_server.wire.inference import Cancellation

BODY_S = 120.0
"""Until the body of a request must have come."""

MAX_REQUESTS_THAT_WAIT = 256
"""Threads for what may block: planned faults, loading of models."""

_NOT_READY = Reply.error(400, "Model version not ready")


class Route(NamedTuple):
    """A path that was recognised."""

    action: str
    rpc: str  #: gRPC's name of the same, which fault plans use
    method: str  #: the only one allowed
    fields: Mapping[str, str]  #: model, version, region, verb: those the path has


# Source of the patterns: HTTPAPIServer of src/http_server.cc in
# triton-inference-server/server. A version that is not digits makes the path unknown.
_MODEL = r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[0-9]+))?"
_REPOSITORY = r"/v2/repository(?:/[^/]+)?"
_REGION = r"(?:/region/(?P<region>[^/]+))?/(?P<verb>status|register|unregister)"
_ROUTES = tuple(
    (action, rpc, method, re.compile(pattern))
    for action, rpc, method, pattern in (
        ("infer", "ModelInfer", "POST", _MODEL + "/infer"),
        ("generate", "ModelInfer", "POST", _MODEL + "/generate"),
        ("generate_stream", "ModelInfer", "POST", _MODEL + "/generate_stream"),
        ("live", "ServerLive", "GET", "/v2/health/live"),
        ("ready", "ServerReady", "GET", "/v2/health/ready"),
        ("model_ready", "ModelReady", "GET", _MODEL + "/ready"),
        ("all_statistics", "ModelStatistics", "GET", "/v2/models/stats"),
        ("statistics", "ModelStatistics", "GET", _MODEL + "/stats"),
        ("config", "ModelConfig", "GET", _MODEL + "/config"),
        ("metadata", "ModelMetadata", "GET", _MODEL),
        ("server_metadata", "ServerMetadata", "GET", "/v2"),
        ("index", "RepositoryIndex", "POST", _REPOSITORY + "/index"),
        *(
            (
                verb,
                f"RepositoryModel{verb.capitalize()}",
                "POST",
                f"{_REPOSITORY}/models/(?P<model>[^/]+)/{verb}",
            )
            for verb in ("load", "unload")
        ),
        ("system", "SystemSharedMemory", "", "/v2/systemsharedmemory" + _REGION),
        ("cuda", "CudaSharedMemory", "", "/v2/cudasharedmemory" + _REGION),
    )
)


def route_of(path: str) -> Route | None:
    """Route of a path; None if the API has no such path."""
    for action, rpc, method, pattern in _ROUTES:
        match = pattern.fullmatch(path)
        if match is not None:
            fields = {k: v for k, v in match.groupdict().items() if v is not None}
            if verb := fields.get("verb"):
                only = "GET" if verb == "status" else "POST"
                return Route(action, rpc + verb.capitalize(), only, fields)
            return Route(action, rpc, method, fields)
    return None


class HttpService:
    """Answers requests in the event loop; what may block runs in its threads.

    Parameters
    ----------
    core : InferenceCore
        Shared with the other protocols of the server.
    faults : PlannedFaults, optional
        Applied to each request before it is read.
    max_body_bytes : int
        Larger bodies, compressed or not, are refused.
    """

    def __init__(
        self,
        core: InferenceCore,
        faults: PlannedFaults | None = None,
        *,
        max_body_bytes: int,
    ) -> None:
        self._core = core
        self._faults = faults
        self._max_body_bytes = max_body_bytes
        self._threads = RequestThreads(MAX_REQUESTS_THAT_WAIT, "mock-server-http")

    def close(self) -> None:
        """End the threads, once no request is left."""
        self._threads.shutdown()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Response to one HTTP request, errors included."""
        route = route_of(unquote(request.raw_path.partition("?")[0]))
        if route is None or route.rpc in self._core.profile.unserved:
            return _sent(Reply.error(404, "Not Found"))
        if request.method != route.method:
            return _sent(Reply.error(405, "Method Not Allowed"))
        cancellation = Cancellation()
        body = _Body(request, self._core.held, self._max_body_bytes)
        try:
            self._core.check_token(request.headers.get("authorization"))
            call = await self._read(request, body, cancellation)
            await self._apply_faults(route, call)
            if route.action == "generate_stream":
                return await self._stream(request, route, call)
            return _sent(await self._reply(route, call))
        except ConnectionError:  # the client has left
            raise
        except Exception as error:
            return _sent(_reply_to_failure(error, route))
        finally:
            # If the client has left, this stops the model's work for it.
            cancellation.cancel()
            body.release()

    async def _read(
        self, request: web.Request, incoming: _Body, cancellation: Cancellation
    ) -> Call:
        body = await incoming.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        encoding = headers.get("content-encoding", "")
        if encoding:  # in a thread: a small body may become a large one
            body = await asyncio.get_running_loop().run_in_executor(
                self._threads,
                decompress,
                body,
                encoding,
                self._max_body_bytes,
                self._core.profile,
            )
        return Call(
            body=body,
            headers=headers,
            cancellation=cancellation,
            drop_connection=_dropping(request),
            threads=self._threads,
            profile=self._core.profile,
        )

    async def _apply_faults(self, route: Route, call: Call) -> None:
        if self._faults is None:
            return
        self._faults.check_access(route.rpc, call.headers.get("authorization"))
        if route.rpc != INFER:  # the core applies them to each inference request
            await call.in_thread(
                self._faults.apply_to_call,
                route.rpc,
                model_name=route.fields.get("model", ""),
                cancellation=call.cancellation,
                drop_connection=call.drop_connection,
            )

    async def _reply(self, route: Route, call: Call) -> Reply:
        core, fields = self._core, route.fields
        model, version = fields.get("model", ""), fields.get("version", "")
        match route.action:
            case "infer" if not is_readable(call):
                reply = Reply.error(422, "the body is not JSON")
            case "infer":
                reply = await infer(core, call, model, version)
            case "generate":
                reply = await generate(core, call, model, version)
            case "live":
                reply = Reply()
            case "ready":
                reply = Reply(200 if core.is_ready else 400)
            case "model_ready":
                is_ready = core.repository.is_ready(model, version)
                reply = Reply() if is_ready else _NOT_READY
            case "load" | "unload" | "index":
                reply = await call.in_thread(
                    management.repository, core, route.action, model, call.body
                )
            case "system" | "cuda":
                reply = management.shared_memory(
                    core,
                    kind=route.action,
                    verb=fields["verb"],
                    region=fields.get("region", ""),
                    body=call.body,
                )
            case action:
                reply = management.description(core, action, model, version)
        return reply

    async def _stream(
        self, request: web.Request, route: Route, call: Call
    ) -> web.StreamResponse:
        events = generate_events(
            self._core, call, route.fields["model"], route.fields.get("version", "")
        )
        response: web.StreamResponse | None = None
        try:
            async for event in events:
                if response is None:
                    response = await _event_stream(request, event.status)
                await response.write(b"data: " + event.body + b"\n\n")
        except Exception as error:
            if response is None or isinstance(error, ConnectionError):
                raise
            last = _reply_to_failure(error, route)  # the status is sent already
            await response.write(b"data: " + last.body + b"\n\n")
        if response is None:
            response = await _event_stream(request, 200)
        await response.write_eof()
        return response


class _Body:
    """The body of one request, counted from its first byte until `release`."""

    def __init__(self, request: web.Request, held: HeldBytes, limit_bytes: int) -> None:
        self._request = request
        self._held, self._limit_bytes = held, limit_bytes
        self._n_bytes = 0

    async def read(self) -> bytes:
        """Return all of it.

        Raises
        ------
        ModelError
            RESOURCE_EXHAUSTED above the limit, UNAVAILABLE if there is no room,
            INVALID_ARGUMENT if it does not come to its end in time.
        """
        body = bytearray()
        if (self._request.content_length or 0) > self._limit_bytes:
            raise too_large(self._limit_bytes)
        try:
            has_come = self._request.content.is_eof()
            async with asyncio.timeout(None if has_come else BODY_S):
                while part := await self._request.content.readany():
                    if self._n_bytes + len(part) > self._limit_bytes:
                        raise too_large(self._limit_bytes)
                    self._held.add(len(part))
                    self._n_bytes += len(part)
                    body += part
        except TimeoutError as error:
            raise invalid(
                f"the body of the request has not come within {BODY_S:g} s"
            ) from error
        except (web.RequestPayloadError, HttpProcessingError) as error:
            raise invalid(f"the body of the request cannot be read: {error}") from error
        return bytes(body)

    def release(self) -> None:
        """Count it no more."""
        self._held.remove(self._n_bytes)
        self._n_bytes = 0


def _reply_to_failure(error: Exception, route: Route) -> Reply:
    if isinstance(error, NotReadyError) and route.action in {"ready", "model_ready"}:
        return _NOT_READY
    if not isinstance(error, ModelError):
        error = unforeseen(error, route.rpc)
    return Reply.of_error(error)


async def _event_stream(request: web.Request, status: int) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={"Content-Type": EVENT_STREAM})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def _sent(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.body,
        headers={"Content-Type": reply.content_type, **reply.headers},
    )


def _dropping(request: web.Request) -> Callable[[], object]:
    """Return a function, for any thread, that closes the connection of a request."""
    loop = asyncio.get_running_loop()
    transport = request.transport

    def drop() -> None:
        if transport is not None:
            loop.call_soon_threadsafe(transport.abort)

    return drop
