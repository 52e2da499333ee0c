"""Which RPC is answered by what, down to those that nobody answers."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from mock_server.grpc_api.service import InferenceService
from mock_server.scheduling.threads import waiting

_SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]


class _Unreadable:
    """Stands for a request whose bytes are no message of the RPC's type."""


def inference_handler(service: InferenceService) -> grpc.GenericRpcHandler:
    """All RPCs of KServe v2 and of Triton's extensions.

    Built from the service's description rather than by the generated function: that one
    leaves it to gRPC to answer what cannot be parsed, whose words are not Triton's.
    """
    return grpc.method_handlers_generic_handler(
        _SERVICE.full_name,
        {
            method.name: _handler(
                getattr(service, method.name),
                getattr(service_pb2, method.input_type.name),
                is_stream=method.client_streaming,
            )
            for method in _SERVICE.methods
        },
    )


# Any: tritonclient's messages and gRPC's handlers have no types.
def _handler(
    behaviour: Callable[[Any, Any], Any], request_type: Any, *, is_stream: bool
) -> Any:
    def read(data: bytes) -> Any:
        try:
            return request_type.FromString(data)
        except DecodeError:
            return _Unreadable()

    @wraps(behaviour)
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(request, _Unreadable):
            context.abort(grpc.StatusCode.INTERNAL, "Unable to parse request")
        return behaviour(request, context)

    @wraps(behaviour)
    def answer_all(
        requests: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        readable = _Readable(requests)
        with waiting():
            yield from behaviour(iter(readable), context)
        if readable.ended_early:
            context.abort(grpc.StatusCode.INTERNAL, "Unable to parse request")

    if is_stream:
        return grpc.stream_stream_rpc_method_handler(answer_all, read, _serialized)
    return grpc.unary_unary_rpc_method_handler(answer, read, _serialized)


class _Readable:
    """Requests of a stream up to the first that cannot be read.

    gRPC itself would end the stream there too, but two such requests in a row make it
    lose the call, for which the server's stop then waits for ever (grpcio 1.85).
    """

    def __init__(self, requests: Iterator[Any]) -> None:
        self._requests = requests
        self.ended_early = False

    def __iter__(self) -> Iterator[Any]:
        for request in self._requests:
            if isinstance(request, _Unreadable):
                self.ended_early = True
                return
            yield request


def _serialized(message: Any) -> Any:
    return message.SerializeToString()


class UnknownRpcs(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers whatever no other handler does: UNIMPLEMENTED, without a word."""

    def service(self, details: Any) -> Any:
        """Handler of any RPC. It takes requests of every kind and number."""

        def refuse(requests: Any, context: grpc.ServicerContext) -> Any:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

        return grpc.stream_stream_rpc_method_handler(refuse)
