"""The RPCs of KServe v2, answered as Triton Inference Server 2.51 answers them."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mock_server.core import (
    EXTENSIONS,
    SERVER_NAME,
    SERVER_VERSION,
    InferenceCore,
    refuse_decoupled,
)
from mock_server.errors import ModelError
from mock_server.faults.connections import close_connections_from
from mock_server.grpc_api import descriptions, settings
from mock_server.grpc_api.requests import inference_request
from mock_server.grpc_api.responses import infer_response
from mock_server.grpc_api.streaming import InferenceStream
from mock_server.inference import Cancellation
from mock_server.threads import waiting
from mock_server.validation import invalid

Response = TypeVar("Response")


def _errors_become_status(
    rpc: Callable[[Any, Any, Any], Response],
) -> Callable[[Any, Any, Any], Response]:
    @wraps(rpc)
    def answer(service: Any, request: Any, context: Any) -> Response:
        try:
            return rpc(service, request, context)
        except ModelError as error:
            context.abort(error.code, error.message)
            raise  # not reached: abort raises

    return answer


# The generated base class has no types. Method names are the protocol's.
class InferenceService(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
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

    @_errors_become_status
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

    @_errors_become_status
    def ModelMetadata(
        self, request: service_pb2.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelMetadataResponse:
        """Tensors of a model: of the highest version if none is named."""
        found = self._core.repository.versions(request.name, request.version)
        return descriptions.metadata_response(
            found[-1].model, [loaded.model.version for loaded in found]
        )

    @_errors_become_status
    def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelConfigResponse:
        """Describe a model as its configuration file would, parameters included."""
        loaded = self._core.repository.find(request.name, request.version)
        return descriptions.config_response(loaded.model)

    @_errors_become_status
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

    @_errors_become_status
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

    @_errors_become_status
    def RepositoryIndex(
        self, request: service_pb2.RepositoryIndexRequest, context: grpc.ServicerContext
    ) -> service_pb2.RepositoryIndexResponse:
        """List what there is, and in what state."""
        _refuse_named_repository(request)
        rows = self._core.repository.index(only_ready=request.ready)
        return service_pb2.RepositoryIndexResponse(
            models=[
                service_pb2.RepositoryIndexResponse.ModelIndex(
                    name=row.name,
                    version=row.version,
                    state=row.state,
                    reason=row.reason,
                )
                for row in rows
            ]
        )

    @_errors_become_status
    def RepositoryModelLoad(
        self,
        request: service_pb2.RepositoryModelLoadRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.RepositoryModelLoadResponse:
        """Load a model; answers when it is ready."""
        _refuse_named_repository(request)
        config = None
        for key, value in request.parameters.items():
            if key != "config":
                raise invalid(f"unrecognized load parameter '{key}'.")
            if value.WhichOneof("parameter_choice") != "string_param":
                raise invalid(
                    f"invalid value type for load parameter '{key}', expected "
                    "string_param."
                )
            config = value.string_param
        with waiting():
            self._core.repository.load(request.model_name, config)
        return service_pb2.RepositoryModelLoadResponse()

    @_errors_become_status
    def RepositoryModelUnload(
        self,
        request: service_pb2.RepositoryModelUnloadRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.RepositoryModelUnloadResponse:
        """Serve a model no more."""
        _refuse_named_repository(request)
        with waiting():
            self._core.repository.unload(
                request.model_name,
                with_dependents=request.parameters["unload_dependents"].bool_param,
            )
        return service_pb2.RepositoryModelUnloadResponse()

    @_errors_become_status
    def SystemSharedMemoryStatus(
        self,
        request: service_pb2.SystemSharedMemoryStatusRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.SystemSharedMemoryStatusResponse:
        """List the registered regions, or the one that is named."""
        response = service_pb2.SystemSharedMemoryStatusResponse()
        for region in self._core.shared_memory.status(request.name):
            response.regions[region.name].MergeFrom(
                service_pb2.SystemSharedMemoryStatusResponse.RegionStatus(
                    name=region.name,
                    key=region.key,
                    offset=region.offset,
                    byte_size=region.byte_size,
                )
            )
        return response

    @_errors_become_status
    def SystemSharedMemoryRegister(
        self,
        request: service_pb2.SystemSharedMemoryRegisterRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.SystemSharedMemoryRegisterResponse:
        """Map a region that the client has made."""
        self._core.shared_memory.register(
            request.name, request.key, request.offset, request.byte_size
        )
        return service_pb2.SystemSharedMemoryRegisterResponse()

    @_errors_become_status
    def SystemSharedMemoryUnregister(
        self,
        request: service_pb2.SystemSharedMemoryUnregisterRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.SystemSharedMemoryUnregisterResponse:
        """Let go of a region, or of all."""
        self._core.shared_memory.unregister(request.name)
        return service_pb2.SystemSharedMemoryUnregisterResponse()

    @_errors_become_status
    def CudaSharedMemoryStatus(
        self,
        request: service_pb2.CudaSharedMemoryStatusRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.CudaSharedMemoryStatusResponse:
        """List no regions: there is no GPU, so that none can be registered."""
        self._core.shared_memory.cuda_status(request.name)
        return service_pb2.CudaSharedMemoryStatusResponse()

    @_errors_become_status
    def CudaSharedMemoryRegister(
        self,
        request: service_pb2.CudaSharedMemoryRegisterRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.CudaSharedMemoryRegisterResponse:
        """Refuse, as a Triton without a GPU does."""
        self._core.shared_memory.register_cuda()
        return service_pb2.CudaSharedMemoryRegisterResponse()

    def CudaSharedMemoryUnregister(
        self,
        request: service_pb2.CudaSharedMemoryUnregisterRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.CudaSharedMemoryUnregisterResponse:
        """Let go of a region: of none, which is no error."""
        return service_pb2.CudaSharedMemoryUnregisterResponse()

    @_errors_become_status
    def TraceSetting(
        self, request: service_pb2.TraceSettingRequest, context: grpc.ServicerContext
    ) -> service_pb2.TraceSettingResponse:
        """Change what is given, and tell all settings."""
        return settings.trace_setting(self._core, request)

    @_errors_become_status
    def LogSettings(
        self, request: service_pb2.LogSettingsRequest, context: grpc.ServicerContext
    ) -> service_pb2.LogSettingsResponse:
        """Change what is given, and tell all settings."""
        return settings.log_settings(self._core, request)


def _refuse_named_repository(
    request: service_pb2.RepositoryIndexRequest
    | service_pb2.RepositoryModelLoadRequest
    | service_pb2.RepositoryModelUnloadRequest,
) -> None:
    if request.repository_name:
        raise ModelError(
            grpc.StatusCode.UNIMPLEMENTED,
            "'repository_name' specification is not supported",
        )


def _cancelled_with(context: grpc.ServicerContext) -> Cancellation:
    """Cancelled when the RPC ends, in whatever way."""
    cancellation = Cancellation()
    if not context.add_callback(cancellation.cancel):
        cancellation.cancel()
    return cancellation


def _dropping(context: grpc.ServicerContext) -> Callable[[], object]:
    """Closes the connection that the RPC came by, when called."""
    return lambda: close_connections_from(context.peer())
