"""Faults of RPCs that are no inference, and of every RPC's way in, over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from mock_server.core.planned_faults import INFER, NotReadyError, PlannedFaults
from mock_server.errors import ModelError
from mock_server.grpc_api.connections import close_connections_from
from mock_server.scheduling.threads import waiting
from mock_server.wire.inference import Cancellation

_INFERENCES = (INFER, "ModelStreamInfer")
_NOT_READY = {
    "ServerReady": service_pb2.ServerReadyResponse(ready=False),
    "ModelReady": service_pb2.ModelReadyResponse(ready=False),
}


# grpc has no types; Any stands for its handlers, messages and contexts.
class FaultInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Stands before the service: applies the planned faults to each RPC."""

    def __init__(self, faults: PlannedFaults) -> None:
        self._faults = faults

    def intercept_service(
        self, continuation: Callable[[Any], Any], details: Any
    ) -> Any:
        """Handler of the RPC, behind the faults planned for it."""
        handler = continuation(details)
        if handler is None:
            return None
        rpc = details.method.rpartition("/")[2]
        if handler.stream_stream is not None:
            return handler._replace(
                stream_stream=self._guarded(handler.stream_stream, rpc)
            )
        return handler._replace(unary_unary=self._guarded(handler.unary_unary, rpc))

    def _guarded(
        self, behaviour: Callable[[Any, Any], Any], rpc: str
    ) -> Callable[[Any, Any], Any]:
        def answer(request: Any, context: Any) -> Any:
            try:
                with waiting():
                    self._apply_faults(rpc, request, context)
            except NotReadyError as error:
                if rpc in _NOT_READY:
                    return _NOT_READY[rpc]
                context.abort(error.code, error.message)
            except ModelError as error:
                context.abort(error.code, error.message)
            return behaviour(request, context)

        return answer

    def _apply_faults(self, rpc: str, request: Any, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self._faults.check_access(rpc, metadata.get("authorization"))
        if rpc in _INFERENCES:
            return  # each request is met on its own, where both protocols come together
        cancellation = Cancellation()
        if not context.add_callback(cancellation.cancel):
            cancellation.cancel()
        self._faults.apply_to_call(
            rpc,
            model_name=getattr(request, "name", getattr(request, "model_name", "")),
            cancellation=cancellation,
            drop_connection=partial(close_connections_from, context.peer()),
        )
