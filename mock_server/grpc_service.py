"""The RPCs of KServe v2, answered as Triton Inference Server 2.51 answers them."""

import itertools
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mock_server import grpc_messages
from mock_server.errors import ModelError
from mock_server.faults import Arrival, FaultHook
from mock_server.repository import Repository
from mock_server.validation import check_request

SERVER_NAME = "triton"
SERVER_VERSION = "2.51.0"
EXTENSIONS = (
    "classification",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "cuda_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
)
"""What that Triton says of itself, in its order; an extension not served here answers
UNIMPLEMENTED."""

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
    """The service; RPCs not defined here answer UNIMPLEMENTED.

    Parameters
    ----------
    repository : Repository
        May be added to while the service runs.
    faults : callable, optional
        See `FaultHook`.
    """

    def __init__(self, repository: Repository, faults: FaultHook | None) -> None:
        self._repository = repository
        self._faults = faults
        self._numbers = itertools.count(1)  # next() is atomic in CPython

    def ServerLive(
        self, request: service_pb2.ServerLiveRequest, context: grpc.ServicerContext
    ) -> service_pb2.ServerLiveResponse:
        """Answer that the process answers."""
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(
        self, request: service_pb2.ServerReadyRequest, context: grpc.ServicerContext
    ) -> service_pb2.ServerReadyResponse:
        """Answer that models may be asked."""
        return service_pb2.ServerReadyResponse(ready=True)

    @_errors_become_status
    def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelReadyResponse:
        """Tell whether a model is served; an unknown one is no error."""
        ready = self._repository.is_ready(request.name, request.version)
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
        found = self._repository.versions(request.name, request.version)
        return grpc_messages.metadata_response(
            found[-1].model, [loaded.model.version for loaded in found]
        )

    @_errors_become_status
    def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelConfigResponse:
        """Describe a model as its configuration file would, parameters included."""
        loaded = self._repository.find(request.name, request.version)
        return grpc_messages.config_response(loaded.model)

    @_errors_become_status
    def ModelInfer(
        self, request: service_pb2.ModelInferRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelInferResponse:
        """Run a model on the tensors of a request."""
        if self._faults is not None:
            number = next(self._numbers)
            self._faults(Arrival(number, request.model_name, request.id))
        loaded = self._repository.find(request.model_name, request.model_version)
        inputs = grpc_messages.input_tensors(request)
        requested = set(grpc_messages.requested_outputs(request))
        outputs = loaded.infer(
            inputs,
            batch_size=check_request(loaded.model, inputs, requested, request.id),
            requested=requested,
            is_awaited=context.is_active,
        )
        return grpc_messages.infer_response(loaded.model, request.id, outputs)

    @_errors_become_status
    def ModelStatistics(
        self, request: service_pb2.ModelStatisticsRequest, context: grpc.ServicerContext
    ) -> service_pb2.ModelStatisticsResponse:
        """Counters of one model, or of all if none is named."""
        counted = self._repository.counted(request.name, request.version)
        return service_pb2.ModelStatisticsResponse(
            model_stats=[
                grpc_messages.statistics_message(
                    loaded.model, loaded.statistics.snapshot()
                )
                for loaded in counted
            ]
        )

    @_errors_become_status
    def RepositoryIndex(
        self, request: service_pb2.RepositoryIndexRequest, context: grpc.ServicerContext
    ) -> service_pb2.RepositoryIndexResponse:
        """List what is served: all of it is ready."""
        if request.repository_name:
            raise ModelError(
                grpc.StatusCode.UNIMPLEMENTED,
                "'repository_name' specification is not supported",
            )
        return service_pb2.RepositoryIndexResponse(
            models=[
                service_pb2.RepositoryIndexResponse.ModelIndex(
                    name=loaded.model.name, version=loaded.model.version, state="READY"
                )
                for loaded in self._repository.all()
            ]
        )
