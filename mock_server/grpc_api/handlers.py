"""Which RPC is answered by what, down to those that nobody answers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from mock_server.grpc_api.service import InferenceService

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
    if is_stream:
        return grpc.stream_stream_rpc_method_handler(
            behaviour, request_type.FromString, _serialized
        )

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

    return grpc.unary_unary_rpc_method_handler(answer, read, _serialized)


def _serialized(message: Any) -> Any:
    return message.SerializeToString()


class UnknownRpcs(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers whatever no other handler does: UNIMPLEMENTED, without a word."""

    def service(self, details: Any) -> Any:
        """Handler of any RPC. It takes requests of every kind and number."""

        def refuse(requests: Any, context: grpc.ServicerContext) -> Any:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

        return grpc.stream_stream_rpc_method_handler(refuse)
