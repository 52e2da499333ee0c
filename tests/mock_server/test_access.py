"""Who may use a server: those who have its token, and no page of a browser."""

from http.client import HTTPConnection

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from mock_server import MockServer
from sonic_client import AccessDeniedError, Client, ClientConfig, ServerConfig

TOKEN = "s3cret-of-this-server"


def asked(url, **headers):
    """Return the status of a GET request of the metadata."""
    address = url.removeprefix("http://").removesuffix("/metrics")
    connection = HTTPConnection(address, timeout=60)
    path = "/metrics" if url.endswith("/metrics") else "/v2"
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example:8000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
    ],
    ids=str,
)
def test_what_a_web_page_sends_is_refused(serve, double, headers):
    server = serve(double, http_port=0, metrics_port=0)

    assert asked(server.http_url, **headers) == 403
    assert asked(server.metrics_url, **headers) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:8000"},
        {"Host": "127.0.0.1"},
        {"Host": "[::1]:8000"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_what_clients_and_typed_addresses_send_is_answered(serve, double, headers):
    server = serve(double, http_port=0)

    assert asked(server.http_url, **headers) == 200


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", TOKEN, f"Bearer {TOKEN}x", "Bearer \xe9"]
)
def test_every_request_needs_the_token(serve, double, header):
    server = serve(double, http_port=0, token=TOKEN)
    metadata = () if header is None else (("authorization", header),)
    with grpc.insecure_channel(server.url.removeprefix("grpc://")) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for rpc in ("ServerLive", "ServerMetadata", "RepositoryIndex", "ModelInfer"):
            request = getattr(service_pb2, f"{rpc}Request")()
            if header is not None and not header.isascii():
                break  # gRPC does not send it
            with pytest.raises(grpc.RpcError) as error:
                getattr(stub, rpc)(request, metadata=metadata)
            assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert TOKEN not in error.value.details()

    headers = {} if header is None else {"authorization": header}
    assert asked(server.http_url, **headers) == 401


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_client_with_the_token_is_served_and_one_without_is_told(
    serve, double, protocol
):
    server = serve(double, http_port=0, token=TOKEN)
    url = server.url if protocol == "grpc" else server.http_url

    def ask(**access):
        servers = ServerConfig(url=url, **access)
        config = ClientConfig(servers=servers, model_name=double.name)
        with Client(config) as client:
            return client.metadata.name

    assert ask(token=TOKEN) == double.name
    with pytest.raises(AccessDeniedError, match="authorization: Bearer TOKEN"):
        ask()


def test_a_server_listens_on_ipv6(double):
    with MockServer([double], host="::1", http_port=0) as server:
        assert server.url.startswith("grpc://[::1]:")
        assert asked(server.http_url) == 200
        for url in (server.url, server.http_url):
            config = ClientConfig(servers=url, model_name=double.name)
            with Client(config) as client:
                assert client.metadata.name == double.name
