"""The RPCs of KServe v2 and of Triton's extensions.

Method names are the protocol's. A `ModelError` becomes the status of the RPC: see
`handlers`.
"""

from collections.abc import Callable, Iterator

import grpc
from grpc import ServicerContext
from tritonclient.grpc import service_pb2

from mock_server.core.descriptions import metadata_response, statistics_message
from mock_server.core.inference_core import InferenceCore, refuse_decoupled
from mock_server.errors import ModelError, invalid
from mock_server.grpc_api.connections import close_connections_from
from mock_server.grpc_api.requests import inference_request
from mock_server.grpc_api.responses import infer_response
from mock_server.grpc_api.streaming import InferenceStream
from mock_server.model.config import config_of
from mock_server.scheduling.threads import waiting
from mock_server.wire.inference import Cancellation


class InferenceService:
    """Translates the messages of each RPC to and from calls of the core.

    ``TraceSetting`` and ``LogSettings`` are missing: gRPC answers UNIMPLEMENTED.

    Parameters
    ----------
    core : InferenceCore
        Shared with the other protocols of the server.

    Attributes
    ----------
    unserved : frozenset of str
        Names of methods that this server does not have.
    needs_token : bool
    check_token : callable
        As those of the core.
    """

    def __init__(self, core: InferenceCore) -> None:
        self._core = core
        self.unserved = core.profile.unserved
        self.needs_token, self.check_token = core.needs_token, core.check_token

    def ServerLive(
        self, request: service_pb2.ServerLiveRequest, context: ServicerContext
    ) -> service_pb2.ServerLiveResponse:
        """Tell that the process answers."""
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(
        self, request: service_pb2.ServerReadyRequest, context: ServicerContext
    ) -> service_pb2.ServerReadyResponse:
        """Tell whether all models are loaded: false after one failed to load."""
        return service_pb2.ServerReadyResponse(ready=self._core.is_ready)

    def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: ServicerContext
    ) -> service_pb2.ModelReadyResponse:
        """Tell whether a model is served; an unknown one is no error."""
        ready = self._core.repository.is_ready(request.name, request.version)
        return service_pb2.ModelReadyResponse(ready=ready)

    def ServerMetadata(
        self, request: service_pb2.ServerMetadataRequest, context: ServicerContext
    ) -> service_pb2.ServerMetadataResponse:
        """Name, version and extensions of the Triton this stands for."""
        profile = self._core.profile
        return service_pb2.ServerMetadataResponse(
            name=profile.server, version=profile.version, extensions=profile.extensions
        )

    def ModelMetadata(
        self, request: service_pb2.ModelMetadataRequest, context: ServicerContext
    ) -> service_pb2.ModelMetadataResponse:
        """Tensors of a model, of the highest version if none is named."""
        found = self._core.repository.versions(request.name, request.version)
        return metadata_response(
            found[-1].model, [loaded.model.version for loaded in found]
        )

    def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: ServicerContext
    ) -> service_pb2.ModelConfigResponse:
        """Whole configuration of a model, parameters included."""
        loaded = self._core.repository.find(request.name, request.version)
        return service_pb2.ModelConfigResponse(config=config_of(loaded.model))

    def ModelStatistics(
        self, request: service_pb2.ModelStatisticsRequest, context: ServicerContext
    ) -> service_pb2.ModelStatisticsResponse:
        """Counters of one model, or of all if none is named."""
        counted = self._core.repository.counted(request.name, request.version)
        return service_pb2.ModelStatisticsResponse(
            model_stats=[
                statistics_message(loaded.model, loaded.statistics.snapshot())
                for loaded in counted
            ]
        )

    def ModelInfer(
        self, request: service_pb2.ModelInferRequest, context: ServicerContext
    ) -> service_pb2.ModelInferResponse:
        """Run a model on the tensors of a request."""
        loaded = self._core.repository.find(request.model_name, request.model_version)
        refuse_decoupled(
            loaded,
            "ModelInfer RPC doesn't support models with decoupled transaction policy",
        )
        n_bytes = request.ByteSize()
        self._core.held.add(n_bytes)
        try:
            read = inference_request(
                request,
                self._core.shared_memory,
                cancelled_with(context),
                drop_connection=_dropping(context),
            )
            response = self._core.infer(loaded, read)
        finally:
            self._core.held.remove(n_bytes)
        if response.error is not None:
            raise response.error
        return infer_response(response, is_typed=self._core.profile.typed_contents)

    def ModelStreamInfer(
        self,
        requests: Iterator[service_pb2.ModelInferRequest],
        context: ServicerContext,
    ) -> Iterator[service_pb2.ModelStreamInferResponse]:
        """Run models on any number of requests, each with any number of responses."""
        stream = InferenceStream(
            self._core, cancelled_with(context), drop_connection=_dropping(context)
        )
        return stream.responses_to(requests)

    def RepositoryIndex(
        self, request: service_pb2.RepositoryIndexRequest, context: ServicerContext
    ) -> service_pb2.RepositoryIndexResponse:
        """List the models and their states."""
        _refuse_named_repository(request.repository_name)
        rows = self._core.repository.index(only_ready=request.ready)
        return service_pb2.RepositoryIndexResponse(
            models=[
                service_pb2.RepositoryIndexResponse.ModelIndex(**row._asdict())
                for row in rows
            ]
        )

    def RepositoryModelLoad(
        self, request: service_pb2.RepositoryModelLoadRequest, context: ServicerContext
    ) -> service_pb2.RepositoryModelLoadResponse:
        """Load a model; answers when it is ready."""
        _refuse_named_repository(request.repository_name)
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

    def RepositoryModelUnload(
        self,
        request: service_pb2.RepositoryModelUnloadRequest,
        context: ServicerContext,
    ) -> service_pb2.RepositoryModelUnloadResponse:
        """Unload a model; its running requests finish."""
        _refuse_named_repository(request.repository_name)
        with waiting():
            self._core.repository.unload(
                request.model_name,
                with_dependents=request.parameters["unload_dependents"].bool_param,
            )
        return service_pb2.RepositoryModelUnloadResponse()

    def SystemSharedMemoryStatus(
        self,
        request: service_pb2.SystemSharedMemoryStatusRequest,
        context: ServicerContext,
    ) -> service_pb2.SystemSharedMemoryStatusResponse:
        """List the registered regions, or the one that is named."""
        response = service_pb2.SystemSharedMemoryStatusResponse()
        for region in self._core.shared_memory.status(request.name):
            listed = response.regions[region.name]
            listed.name, listed.key = region.name, region.key
            listed.offset, listed.byte_size = region.offset, region.byte_size
        return response

    def SystemSharedMemoryRegister(
        self,
        request: service_pb2.SystemSharedMemoryRegisterRequest,
        context: ServicerContext,
    ) -> service_pb2.SystemSharedMemoryRegisterResponse:
        """Map a region that the client has created."""
        self._core.shared_memory.check_allowed()
        self._core.shared_memory.register(
            request.name, request.key, request.offset, request.byte_size
        )
        return service_pb2.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(
        self,
        request: service_pb2.SystemSharedMemoryUnregisterRequest,
        context: ServicerContext,
    ) -> service_pb2.SystemSharedMemoryUnregisterResponse:
        """Unmap a region, or all."""
        self._core.shared_memory.check_allowed()
        self._core.shared_memory.unregister(request.name)
        return service_pb2.SystemSharedMemoryUnregisterResponse()

    def CudaSharedMemoryStatus(
        self,
        request: service_pb2.CudaSharedMemoryStatusRequest,
        context: ServicerContext,
    ) -> service_pb2.CudaSharedMemoryStatusResponse:
        """List no region, because there is no GPU."""
        self._core.shared_memory.cuda_status(request.name)
        return service_pb2.CudaSharedMemoryStatusResponse()

    def CudaSharedMemoryRegister(
        self,
        request: service_pb2.CudaSharedMemoryRegisterRequest,
        context: ServicerContext,
    ) -> service_pb2.CudaSharedMemoryRegisterResponse:
        """Refuse, as a Triton without a GPU does."""
        self._core.shared_memory.check_allowed()
        raise invalid("failed to register shared memory region: invalid args")

    def CudaSharedMemoryUnregister(
        self,
        request: service_pb2.CudaSharedMemoryUnregisterRequest,
        context: ServicerContext,
    ) -> service_pb2.CudaSharedMemoryUnregisterResponse:
        """Do nothing: an unknown region is no error."""
        self._core.shared_memory.check_allowed()
        return service_pb2.CudaSharedMemoryUnregisterResponse()


def _refuse_named_repository(name: str) -> None:
    if name:
        raise ModelError(
            grpc.StatusCode.UNIMPLEMENTED,
            "'repository_name' specification is not supported",
        )


def cancelled_with(context: ServicerContext) -> Cancellation:
    """Cancellation that happens when the RPC ends, for whatever reason."""
    cancellation = Cancellation()
    if not context.add_callback(cancellation.cancel):
        cancellation.cancel()
    return cancellation


def _dropping(context: ServicerContext) -> Callable[[], object]:
    """Return a function that closes the connection of the RPC."""
    return lambda: close_connections_from(context.peer())
