"""The RPCs of KServe v2, answered as Triton Inference Server 2.51 answers them."""

from collections.abc import Callable, Iterator

import grpc
from tritonclient.grpc import service_pb2

from mock_server.core.inference_core import (
    EXTENSIONS,
    SERVER_NAME,
    SERVER_VERSION,
    InferenceCore,
    refuse_decoupled,
)
from mock_server.grpc_api import descriptions, settings
from mock_server.grpc_api.connections import close_connections_from
from mock_server.grpc_api.repository import RepositoryRpcs
from mock_server.grpc_api.requests import inference_request
from mock_server.grpc_api.responses import infer_response
from mock_server.grpc_api.shared_memory import SharedMemoryRpcs
from mock_server.grpc_api.status import errors_become_status
from mock_server.grpc_api.streaming import InferenceStream
from mock_server.wire.inference import Cancellation


# Method names are the protocol's.
class InferenceService(RepositoryRpcs, SharedMemoryRpcs):
    """The service: it translates to and from what the core speaks.

    Parameters
    ----------
    core : InferenceCore
        Shared with the other protocols of the server.
    """

    def __init__(self, core: InferenceCore) -> None:
        self._core = core

    def ServerLive(
        self, request: service_pb2.ServerLiveRequest, context: grpc.ServicerContext
    ) -> service_pb2.ServerLiveResponse:
        """Answer that the process answers."""
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(
        self, request: service_pb2.ServerReadyRequest, context: grpc.ServicerContext
    ) -> service_pb2.ServerReadyResponse:
        """Tell whether models may be asked: not after one failed to load."""
        return service_pb2.ServerReadyResponse(ready=self._core.is_ready)

    @errors_become_status
    def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelReadyResponse:
        """Tell whether a model is served; an unknown one is no error."""
        ready = self._core.repository.is_ready(request.name, request.version)
        return service_pb2.ModelReadyResponse(ready=ready)

    def ServerMetadata(
        self, request: service_pb2.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> service_pb2.ServerMetadataResponse:
        """Name, version and extensions of the Triton this stands for."""
        return service_pb2.ServerMetadataResponse(
            name=SERVER_NAME, version=SERVER_VERSION, extensions=EXTENSIONS
        )

    @errors_become_status
    def ModelMetadata(
        self, request: service_pb2.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelMetadataResponse:
        """Tensors of a model: of the highest version if none is named."""
        found = self._core.repository.versions(request.name, request.version)
        return descriptions.metadata_response(
            found[-1].model, [loaded.model.version for loaded in found]
        )

    @errors_become_status
    def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelConfigResponse:
        """Describe a model as its configuration file would, parameters included."""
        loaded = self._core.repository.find(request.name, request.version)
        return descriptions.config_response(loaded.model)

    @errors_become_status
    def ModelInfer(
        self, request: service_pb2.ModelInferRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelInferResponse:
        """Run a model on the tensors of a request."""
        loaded = self._core.repository.find(request.model_name, request.model_version)
        refuse_decoupled(
            loaded,
            "ModelInfer RPC doesn't support models with decoupled transaction policy",
        )
        read = inference_request(
            request,
            self._core.shared_memory,
            _cancelled_with(context),
            drop_connection=_dropping(context),
        )
        response = self._core.infer(loaded, read)
        if response.error is not None:
            raise response.error
        return infer_response(response)

    def ModelStreamInfer(
        self,
        request_iterator: Iterator[service_pb2.ModelInferRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[service_pb2.ModelStreamInferResponse]:
        """Run models on any number of requests, which may have several answers each."""
        stream = InferenceStream(
            self._core, _cancelled_with(context), drop_connection=_dropping(context)
        )
        return stream.answers_to(request_iterator)

    @errors_become_status
    def ModelStatistics(
        self, request: service_pb2.ModelStatisticsRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelStatisticsResponse:
        """Counters of one model, or of all if none is named."""
        counted = self._core.repository.counted(request.name, request.version)
        return service_pb2.ModelStatisticsResponse(
            model_stats=[
                descriptions.statistics_message(
                    loaded.model, loaded.statistics.snapshot()
                )
                for loaded in counted
            ]
        )

    @errors_become_status
    def TraceSetting(
        self, request: service_pb2.TraceSettingRequest, context: grpc.ServicerContext
    ) -> service_pb2.TraceSettingResponse:
        """Change what is given, and tell all settings."""
        return settings.trace_setting(self._core, request)

    @errors_become_status
    def LogSettings(
        self, request: service_pb2.LogSettingsRequest, context: grpc.ServicerContext
    ) -> service_pb2.LogSettingsResponse:
        """Change what is given, and tell all settings."""
        return settings.log_settings(self._core, request)


def _cancelled_with(context: grpc.ServicerContext) -> Cancellation:
    """Cancelled when the RPC ends, in whatever way."""
    cancellation = Cancellation()
    if not context.add_callback(cancellation.cancel):
        cancellation.cancel()
    return cancellation


def _dropping(context: grpc.ServicerContext) -> Callable[[], object]:
    """Closes the connection that the RPC came by, when called."""
    return lambda: close_connections_from(context.peer())
