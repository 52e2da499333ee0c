import grpc
import pytest

from sonic_client import (
    AccessDeniedError,
    ConnectionEndedError,
    ModelNotFoundError,
    RejectedRequestError,
    RequestTooLargeError,
    ServerError,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnreachableError,
    TransientError,
    TryTimedOutError,
)
from sonic_client.transport.status import error_of_status


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
)
def test_every_grpc_code_says_whether_to_try_again(code):
    error = error_of_status(code.name, "text", server="grpc://host:8001")

    assert isinstance(error, TransientError) != isinstance(error, RejectedRequestError)
    assert isinstance(error, ServerError)
    assert (error.server, error.status, error.details) == (
        "grpc://host:8001",
        code.name,
        "text",
    )


# Texts: a running Triton (tritonserver of pytriton 0.7.0) and gRPC core 1.85.
@pytest.mark.parametrize(
    ("status", "details", "kind"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses", ServerUnreachableError),
        ("UNAVAILABLE", "Cancelling all calls", ServerUnreachableError),
        ("UNAVAILABLE", "Socket closed", ServerUnreachableError),
        ("UNKNOWN", "Stream removed", ServerUnreachableError),
        ("INTERNAL", "Received RST_STREAM with error code 2", ServerUnreachableError),
        (
            "UNAVAILABLE",
            "Stream removed (GOAWAY received; Error code: 0; Debug Text: )",
            ConnectionEndedError,
        ),
        (
            "UNAVAILABLE",
            "Stream removed (RST_STREAM (Received RST_STREAM with error code 7))",
            ConnectionEndedError,
        ),
        (
            "INTERNAL",
            "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))",
            ServerUnreachableError,
        ),
        ("UNAVAILABLE", "enter idle", ConnectionEndedError),
        ("UNAVAILABLE", "max connection age", ConnectionEndedError),
        (
            "UNAVAILABLE",
            "Stream removed (GOAWAY received; Error code: 11; Debug Text: "
            "too_many_pings)",
            ServerUnreachableError,
        ),
        (
            "UNAVAILABLE",
            "failed to connect to all addresses; last error: UNAVAILABLE: "
            "GOAWAY received; Error code: 0",
            ServerUnreachableError,
        ),
        ("UNAVAILABLE", "Exceeds maximum queue size", ServerOverloadedError),
        ("UNAVAILABLE", "Request timeout expired", ServerOverloadedError),
        ("RESOURCE_EXHAUSTED", "", ServerOverloadedError),
        (
            "RESOURCE_EXHAUSTED",
            "SERVER: Received message larger than max (8388608 vs. 4194304)",
            RequestTooLargeError,
        ),
        ("INTERNAL", "Exception serializing request!", RequestTooLargeError),
        ("CANCELLED", "", TransientError),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", TryTimedOutError),
        (
            "NOT_FOUND",
            "Request for unknown model: 'M' is not found",
            ModelNotFoundError,
        ),
        ("UNAUTHENTICATED", "Jwt is expired", AccessDeniedError),
        (
            "INTERNAL",
            "Failed to process the request(s) for model 'M_0_0', message: "
            "RuntimeError: bad",
            ServerFaultError,
        ),
    ],
)
def test_one_code_is_several_errors_by_its_text(status, details, kind):
    assert type(error_of_status(status, details, server="grpc://host:8001")) is kind


@pytest.mark.parametrize(
    ("server", "details"),
    [
        ("grpc://host:8000", "failed to connect to all addresses"),
        (
            "grpc://host:80",
            "failed to connect to all addresses; last error: UNAVAILABLE: "
            "ipv4:127.0.0.1:80: Failed parsing HTTP/2 (Expected SETTINGS frame)",
        ),
    ],
    ids=["port", "answer"],
)
def test_an_http_port_is_hinted_at(server, details):
    error = error_of_status("UNAVAILABLE", details, server=server)

    assert str(error).endswith("(:8001 is gRPC, :8000 HTTP)")


def test_no_hint_where_the_port_is_not_to_blame():
    error = error_of_status("UNAVAILABLE", "Socket closed", server="grpc://host:8001")

    assert "8000" not in str(error)


@pytest.mark.parametrize(
    ("status", "details", "remedy"),
    [
        (
            "UNAVAILABLE",
            "connections to all backends failing; last error: Connection refused",
            "(is it running, on this port?)",
        ),
        (
            "NOT_FOUND",
            "Request for unknown model: 'a' is not found",
            "(`sonic servers grpc://host:8001` lists its models)",
        ),
    ],
)
def test_what_a_typing_error_causes_names_the_next_step(status, details, remedy):
    error = error_of_status(status, details, server="grpc://host:8001")

    assert str(error).endswith(f"{details} {remedy}")
