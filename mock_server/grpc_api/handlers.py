"""The service's methods as gRPC handlers.

Here errors become statuses, and planned faults come before every RPC.
"""

from __future__ import annotations

import math
import string
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from mock_server.core.planned_faults import INFER, NotReadyError, PlannedFaults
from mock_server.errors import ModelError, internal, unforeseen
from mock_server.grpc_api.connections import close_connections_from
from mock_server.grpc_api.service import InferenceService, cancelled_with
from mock_server.scheduling.threads import ReservedThreads, waiting

_SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_INFERENCES = (INFER, "ModelStreamInfer")
_NOT_READY = {
    "ServerReady": service_pb2.ServerReadyResponse(ready=False),
    "ModelReady": service_pb2.ModelReadyResponse(ready=False),
}

_HEALTH = frozenset({"ServerLive", "ServerReady", "ModelReady"})

MAX_STREAMS = 128
"""Open at once: each holds a thread, of which others must have some."""

Untyped = Any
"""Messages of tritonclient, and handlers and contexts of gRPC: neither has types."""


def inference_handler(
    service: InferenceService,
    faults: PlannedFaults | None = None,
    health_threads: ReservedThreads | None = None,
) -> grpc.GenericRpcHandler:
    """All RPCs that the service has; gRPC answers UNIMPLEMENTED to others.

    The RPCs that tell whether it is live run in `health_threads`, if there are any.
    """
    handlers = {
        method.name: _handler(
            service,
            method.name,
            getattr(service_pb2, method.input_type.name),
            faults,
            is_stream=method.client_streaming,
        )
        for method in _SERVICE.methods
        if hasattr(service, method.name) and method.name not in service.unserved
    }
    for name in _HEALTH.intersection(handlers):
        handlers[name].unary_unary.experimental_thread_pool = health_threads
    return grpc.method_handlers_generic_handler(_SERVICE.full_name, handlers)


def health_handler(
    health_threads: ReservedThreads | None = None,
) -> grpc.GenericRpcHandler:
    """``grpc.health.v1.Health/Check``: SERVING for every service name, as in Triton."""

    def check(request: bytes, context: grpc.ServicerContext) -> bytes:
        # HealthCheckResponse(status=SERVING): field 1, a varint, 1. The package with
        # the messages, grpcio-health-checking, is not worth two bytes.
        return b"\x08\x01"

    check.experimental_thread_pool = health_threads  # type: ignore[attr-defined]
    return grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}
    )


def is_health(handler: Untyped) -> bool:
    """Whether a handler has threads of its own; None is no handler, and has."""
    return handler is None or hasattr(handler.unary_unary, "experimental_thread_pool")


def refusing_handler(text: str, health_threads: ReservedThreads) -> Untyped:
    """Return a handler that refuses every call, unary or not, RESOURCE_EXHAUSTED."""
    refusal = ModelError(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def refuse(requests: Untyped, context: grpc.ServicerContext) -> Untyped:
        _abort(context, refusal)
        yield  # never reached: it makes this the answer of a stream

    refuse.experimental_thread_pool = health_threads  # type: ignore[attr-defined]
    return grpc.stream_stream_rpc_method_handler(refuse)


def _handler(
    service: InferenceService,
    rpc: str,
    request_type: Untyped,
    faults: PlannedFaults | None,
    *,
    is_stream: bool,
) -> Untyped:
    method: Callable[[Untyped, Untyped], Untyped] = getattr(service, rpc)
    streams = threading.BoundedSemaphore(MAX_STREAMS)

    def answer(request: Untyped, context: grpc.ServicerContext) -> Untyped:
        try:
            if service.needs_token:
                service.check_token(_authorization(context))
            if faults is not None:
                with waiting():
                    _apply_faults(faults, rpc, request, context)
            return method(request, context)
        except NotReadyError as error:
            if rpc in _NOT_READY:
                return _NOT_READY[rpc]
            refusal: ModelError = error
        except ModelError as error:
            refusal = error
        except Exception as error:  # nothing is foreseen here
            refusal = unforeseen(error, rpc)
        return _abort(context, refusal)

    def answer_unary(request: Untyped, context: grpc.ServicerContext) -> Untyped:
        if request is _UNREADABLE:
            _abort(context, _UNREADABLE_ERROR)
        return answer(request, context)

    def answer_stream(
        requests: Iterator[Untyped], context: grpc.ServicerContext
    ) -> Iterator[Untyped]:
        readable = _ReadableRequests(requests)
        if not streams.acquire(blocking=False):
            text = f"{MAX_STREAMS} streams are open already, and that is the most"
            _abort(context, ModelError(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
        try:
            yield from answer_open_stream(readable, context)
        finally:
            streams.release()

    def answer_open_stream(
        readable: _ReadableRequests, context: grpc.ServicerContext
    ) -> Iterator[Untyped]:
        responses = answer(iter(readable), context)
        with waiting():
            try:
                yield from responses
            except Exception as error:  # nothing is foreseen here
                refusal = unforeseen(error, rpc)
            else:
                if not readable.ended_early:
                    return
                refusal = _UNREADABLE_ERROR
        _abort(context, refusal)

    def parsed_or_none(data: bytes) -> Untyped:
        try:
            return request_type.FromString(data)
        except DecodeError:
            return _UNREADABLE

    if is_stream:
        return grpc.stream_stream_rpc_method_handler(
            answer_stream, parsed_or_none, _serialized
        )
    return grpc.unary_unary_rpc_method_handler(
        answer_unary, parsed_or_none, _serialized
    )


def _abort(context: grpc.ServicerContext, error: ModelError) -> None:
    """End a call with an error, whose text is cut to what a header may hold."""
    text = error.message
    if len(text) > _SHORT_DETAILS:
        begin = text[:_MAX_DETAILS_BYTES]
        if len(quote(begin, safe=string.printable)) > _MAX_DETAILS_BYTES:
            begin = text[:_SHORT_DETAILS]
        text = text if begin == text else f"{begin}..."
    if error.retry_after_s is not None:
        milliseconds = math.ceil(1000.0 * error.retry_after_s)
        context.set_trailing_metadata((("grpc-retry-pushback-ms", str(milliseconds)),))
    context.abort(error.code, text)


def _authorization(context: grpc.ServicerContext) -> str | None:
    return dict(context.invocation_metadata()).get("authorization")


def _apply_faults(
    faults: PlannedFaults, rpc: str, request: Untyped, context: grpc.ServicerContext
) -> None:
    faults.check_access(rpc, _authorization(context))
    if rpc not in _INFERENCES:  # the core applies them to each inference request
        faults.apply_to_call(
            rpc,
            model_name=getattr(request, "name", getattr(request, "model_name", "")),
            cancellation=cancelled_with(context),
            drop_connection=lambda: close_connections_from(context.peer()),
        )


_UNREADABLE = object()
_UNREADABLE_ERROR = internal("Unable to parse request")

_MAX_DETAILS_BYTES = 6000
"""Bytes of an error's text. It travels in a header, of which clients take 8 KiB, and
may repeat the megabytes that a request has for a name."""

_SHORT_DETAILS = _MAX_DETAILS_BYTES // 12
"""Characters that always fit: there, one may take twelve bytes."""


class _ReadableRequests:
    """Requests of a stream up to the first that cannot be parsed.

    gRPC itself would end the stream there too, but two such requests in a row make it
    lose the call, and the server's stop then waits for it (grpcio 1.85).
    """

    def __init__(self, requests: Iterator[Untyped]) -> None:
        self._requests = requests
        self.ended_early = False

    def __iter__(self) -> Iterator[Untyped]:
        for request in self._requests:
            if request is _UNREADABLE:
                self.ended_early = True
                return
            yield request


def _serialized(message: Untyped) -> Untyped:
    return message.SerializeToString()
