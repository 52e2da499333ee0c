"""``grpc.health.v1.Health/Check``, as Triton answers it: all is well, always."""

import grpc

_SERVING = b"\x08\x01"
"""``HealthCheckResponse(status=SERVING)``: field 1, a varint, 1. The messages come with
a package of their own, grpcio-health-checking, which is not worth two bytes."""


def health_handler() -> grpc.GenericRpcHandler:
    """Answer to Check, for every service name."""

    def check(request: bytes, context: grpc.ServicerContext) -> bytes:
        return _SERVING

    return grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}
    )
