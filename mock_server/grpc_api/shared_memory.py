"""The RPCs that make regions of shared memory known to the server."""

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mock_server.core.inference_core import InferenceCore
from mock_server.grpc_api.status import errors_become_status


# The generated base class has no types. Method names are the protocol's.
class SharedMemoryRpcs(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """The part of the service that knows of shared memory."""

    _core: InferenceCore

    @errors_become_status
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

    @errors_become_status
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

    @errors_become_status
    def SystemSharedMemoryUnregister(
        self,
        request: service_pb2.SystemSharedMemoryUnregisterRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.SystemSharedMemoryUnregisterResponse:
        """Let go of a region, or of all."""
        self._core.shared_memory.unregister(request.name)
        return service_pb2.SystemSharedMemoryUnregisterResponse()

    @errors_become_status
    def CudaSharedMemoryStatus(
        self,
        request: service_pb2.CudaSharedMemoryStatusRequest,
        context: grpc.ServicerContext,
    ) -> service_pb2.CudaSharedMemoryStatusResponse:
        """List no regions: there is no GPU, so that none can be registered."""
        self._core.shared_memory.cuda_status(request.name)
        return service_pb2.CudaSharedMemoryStatusResponse()

    @errors_become_status
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
