"""Health and readiness (KServe v2), over gRPC and HTTP; unknown calls."""

import grpc
import pytest
from tritonclient.grpc import service_pb2


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


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/models/nowhere/ready", 400, "not ready"),
        ("GET", "/v2/models/add_sub/versions/9/ready", 400, "not ready"),
        ("GET", "/v2/models/broken/ready", 400, "not ready"),
        ("GET", "/", 404, "not found"),
        ("GET", "/v2/", 404, "not found"),
        ("GET", "/nowhere", 404, "not found"),
        ("GET", "/v2/models", 404, "not found"),
        ("GET", "/v2/model/x", 404, "not found"),
        ("GET", "/v2/models/add_sub/versions/abc", 404, "not found"),
        ("POST", "/v2/health/live", 405, "method not allowed"),
        ("POST", "/v2", 405, "method not allowed"),
        ("GET", "/v2/models/add_sub/infer", 405, "method not allowed"),
        ("POST", "/v2/models/add_sub", 405, "method not allowed"),
        ("DELETE", "/v2/models/add_sub/config", 405, "method not allowed"),
        ("GET", "/v2/repository/index", 405, "method not allowed"),
    ],
)
def test_call_that_is_refused(http_call, refused, method, path, status, words):
    assert http_call(method, path).error == refused(status, words)


@pytest.mark.parametrize("service", [b"", b"inference.GRPCInferenceService", b"other"])
def test_grpc_health_protocol_says_serving(server, service):
    # HealthCheckRequest{service = 1}, HealthCheckResponse{status = 1}: SERVING is 1.
    message = b"\x0a" + bytes([len(service)]) + service if service else b""
    with grpc.insecure_channel(server.grpc) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")

        assert check(message, timeout=10) == b"\x08\x01"


def test_unknown_rpc_is_unimplemented(server, rpc_error):
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/Nothing")

        assert rpc_error(call, b"")[0] == "UNIMPLEMENTED"
