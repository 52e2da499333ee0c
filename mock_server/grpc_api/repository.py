"""The RPCs that list, load and unload models."""

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mock_server.core.inference_core import InferenceCore
from mock_server.errors import ModelError, invalid
from mock_server.grpc_api.status import errors_become_status
from mock_server.scheduling.threads import waiting


# The generated base class has no types. Method names are the protocol's.
class RepositoryRpcs(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The part of the service that changes which models there are."""

    _core: InferenceCore

    @errors_become_status
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

    @errors_become_status
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

    @errors_become_status
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
