"""Health and readiness (KServe v2), over gRPC and HTTP."""

import grpc
import pytest
from tritonclient.grpc import service_pb2

NOT_A_NUMBER = (
    "failed to get model version from specified version string 'abc' "
    "(details: stol), version should be an integral value > 0"
)


def test_server_is_live_and_ready(stub):
    assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
    assert stub.ServerReady(service_pb2.ServerReadyRequest()).ready


@pytest.mark.parametrize(
    ("name", "version", "is_ready"),
    [
        ("add_sub", "", True),
        ("add_sub", "1", True),
        ("add_sub", "2", False),
        ("versions", "3", True),
        ("versions_latest", "1", False),
        ("twice_sum", "", True),
        ("broken", "", False),
        ("nowhere", "", False),
        ("", "", False),
    ],
)
def test_readiness_of_a_model_is_never_an_error(stub, name, version, is_ready):
    request = service_pb2.ModelReadyRequest(name=name, version=version)

    assert stub.ModelReady(request).ready is is_ready


def test_version_that_is_no_number_is_an_error(stub, rpc_error):
    request = service_pb2.ModelReadyRequest(name="add_sub", version="abc")

    assert rpc_error(stub.ModelReady, request) == ("INVALID_ARGUMENT", NOT_A_NUMBER)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/add_sub/ready",
        "/v2/models/add_sub/versions/1/ready",
    ],
)
def test_ready_over_http_is_an_empty_200(http_call, path):
    answer = http_call("GET", path)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "0"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nowhere/ready",
        "/v2/models/add_sub/versions/9/ready",
        "/v2/models/broken/ready",
    ],
)
def test_not_ready_over_http_is_a_400(http_call, path):
    answer = http_call("GET", path)

    assert (answer.status, answer.body) == (
        400,
        b'{"error":"Model version not ready"}',
    )
    assert answer.headers["content-type"] == "text/plain"


@pytest.mark.parametrize("service", [b"", b"inference.GRPCInferenceService", b"other"])
def test_grpc_health_protocol_says_serving(server, service):
    # HealthCheckRequest{service = 1}, HealthCheckResponse{status = 1}: SERVING is 1.
    message = b"\x0a" + bytes([len(service)]) + service if service else b""
    with grpc.insecure_channel(server.grpc) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")

        assert check(message, timeout=10) == b"\x08\x01"


def test_unknown_rpc_is_unimplemented(server):
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/Nothing")
        with pytest.raises(grpc.RpcError) as error:
            call(b"", timeout=10)

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details() == ""


@pytest.mark.parametrize("path", ["/", "/v2/", "/nowhere", "/v2/models", "/v2/model/x"])
def test_unknown_path_is_a_404(http_call, path):
    answer = http_call("GET", path)

    assert (answer.status, answer.body) == (404, b'{"error":"Not Found"}')
    assert answer.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/health/live"),
        ("POST", "/v2"),
        ("GET", "/v2/models/add_sub/infer"),
        ("POST", "/v2/models/add_sub"),
        ("DELETE", "/v2/models/add_sub/config"),
        ("GET", "/v2/repository/index"),
    ],
)
def test_wrong_method_is_a_405(http_call, method, path):
    answer = http_call(method, path)

    assert (answer.status, answer.body) == (405, b'{"error":"Method Not Allowed"}')
