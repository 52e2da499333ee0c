"""Servers that cannot be used at the start: another one, a wait, or one clear error."""

import threading
from dataclasses import replace

import pytest
import tritonclient.grpc as triton_client
from tritonclient.utils import InferenceServerException

from mock_server import FaultPlan, MockServer
from sonic_client import (
    Client,
    HealthConfig,
    ModelNotFoundError,
    ModelNotReadyError,
    NoServerError,
    Observer,
    ServerConfig,
    ServerOverloadedError,
    ServerUnreachableError,
    TlsError,
    WrongPortError,
)


@pytest.fixture
def unusable(serve, free_address, black_hole, http_port):
    """A function that returns the address of a server that no client can use."""

    def address(kind):
        match kind:
            case "down":
                return free_address
            case "black hole":
                return black_hole
            case "HTTP port":
                return http_port[0]
            case "saturated":
                return serve(FaultPlan().refuse_admission())
            case "without the model":
                return serve(models=[])
            case "TLS on plaintext":
                return serve().url.replace("grpc://", "grpcs://")

    return address


@pytest.mark.parametrize(
    "kind",
    [
        "down",
        "black hole",
        "HTTP port",
        "saturated",
        "without the model",
        "TLS on plaintext",
    ],
)
def test_another_server_is_used(
    serve, config_for, requests_of, assert_whole, unusable, kind
):
    server = serve()
    config = config_for(unusable(kind), server, startup_timeout_s=60.0)

    with Client(config) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert {outcome.server for outcome in outcomes} == {server.url}
    assert {outcome.tries for outcome in outcomes} == {1}


def test_a_preferred_server_that_is_down_lets_the_others_be_asked(
    serve, config_for, requests_of, assert_whole, free_address
):
    config = config_for(ServerConfig(url=free_address, preferred=True), serve())

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(5))), 5)


def test_the_fallback_is_used(
    config_for, requests_of, assert_whole, free_address, label_model
):
    fallback = MockServer([label_model])

    with Client(config_for(free_address), fallback=fallback) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert all(outcome.is_fallback for outcome in outcomes)
    with pytest.raises(RuntimeError):
        _ = fallback.url  # stopped with the client


@pytest.mark.parametrize(
    "faults",
    [
        FaultPlan().start_slowly(requests=3),
        FaultPlan().start_slowly(seconds=1.8),
        FaultPlan().refuse_admission(1, 2, 3),
    ],
    ids=["started", "model loaded", "no longer saturated"],
)
def test_a_server_that_says_it_will_be_ready_is_waited_for(
    serve, config_for, requests_of, assert_whole, faults
):
    config = config_for(
        serve(faults), startup_timeout_s=1.5, model_ready_timeout_s=20.0
    )

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(3))), 3)


def test_waiting_for_a_model_ends(serve, config_for):
    server = serve(FaultPlan().start_slowly(seconds=60.0))

    with pytest.raises(ModelNotReadyError, match="not ready"):
        Client(config_for(server, model_ready_timeout_s=0.2)).__enter__()


@pytest.mark.parametrize(
    ("kind", "error"),
    [("down", ServerUnreachableError), ("black hole", ServerUnreachableError)],
)
def test_the_only_server_is_named_by_its_own_error(config_for, unusable, kind, error):
    address = unusable(kind)

    with pytest.raises(error, match=address):
        Client(config_for(address, startup_timeout_s=0.2)).__enter__()


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("TLS on plaintext", TlsError, r"TLS on a plaintext port\?"),
        ("HTTP port", WrongPortError, r":8001 is gRPC, :8000 HTTP"),
        ("without the model", ModelNotFoundError, "'label' is not found"),
    ],
)
def test_an_error_that_no_waiting_repairs_is_raised_at_once(
    config_for, unusable, kind, error, text
):
    """However many tries and however much time there is."""
    address = unusable(kind)
    retry = {"allowed_tries": 50, "first_wait_s": 5.0}
    config = config_for(address, startup_timeout_s=60.0, retry=retry)

    with pytest.raises(error, match=text) as caught:
        Client(config).__enter__()
    assert getattr(address, "url", address) in str(caught.value)


def test_a_model_that_failed_to_load_says_why_and_what_to_do(config_for, tmp_path):
    version = tmp_path / "label" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text("raise OSError('no file embed.pt')")
    (tmp_path / "label" / "config.pbtxt").write_text('backend: "python"')
    with MockServer(repository=tmp_path, model_control="explicit") as server:
        with (
            triton_client.InferenceServerClient(
                server.url.removeprefix("grpc://")
            ) as operator,
            pytest.raises(InferenceServerException),
        ):
            operator.load_model("label")

        with pytest.raises(
            ModelNotFoundError,
            match=r"'label' failed to load there: .*no file embed\.pt .*load it again",
        ) as caught:
            Client(config_for(server)).__enter__()

    assert "\n" not in str(caught.value)


def test_a_wrong_port_is_not_asked_again_and_again(config_for, http_port):
    address, connections = http_port

    with pytest.raises(WrongPortError):
        Client(config_for(address, retry={"allowed_tries": 50})).__enter__()

    assert len(connections) < 10


def test_http_to_a_grpc_port_says_which_port_is_which(serve, config_for):
    url = serve().url.replace("grpc://", "http://")

    with pytest.raises(ServerUnreachableError, match="8000 HTTP") as caught:
        Client(config_for(url)).__enter__()

    assert "\n" not in str(caught.value)


def test_one_error_names_every_server_and_what_is_wrong_there(
    serve, config_for, free_address, black_hole
):
    refusing = serve(FaultPlan().on(rpc=None).refuse("UNAVAILABLE", "not today"))
    config = config_for(free_address, black_hole, refusing, startup_timeout_s=2.0)

    with pytest.raises(NoServerError) as caught:
        Client(config).__enter__()

    text = str(caught.value)
    for address in (free_address, black_hole, refusing.url):
        assert address in text
    assert "not today" in text
    assert list(caught.value.last_errors) == [each.name for each in config.servers]


@pytest.mark.parametrize(
    ("kind", "error"),
    [("saturated", ServerOverloadedError), ("without the model", ModelNotFoundError)],
)
def test_the_error_of_several_servers_has_that_of_each(
    config_for, unusable, kind, error
):
    servers = [unusable(kind) for _ in range(2)]
    config = config_for(*servers, startup_timeout_s=60.0, model_ready_timeout_s=1.0)

    with pytest.raises(NoServerError) as caught:
        Client(config).__enter__()

    assert set(caught.value.last_errors) == {server.url for server in servers}
    assert {type(each) for each in caught.value.last_errors.values()} == {error}


def test_a_server_that_is_down_is_said_to_be_once(
    config_for, free_address, client_messages
):
    """By the error, and by no warning before it."""
    with pytest.raises(ServerUnreachableError):
        Client(config_for(free_address)).__enter__()

    assert client_messages() == []


def test_a_server_that_is_down_beside_another_is_warned_of_once(
    serve, config_for, requests_of, free_address, client_messages
):
    class Watch(Observer):
        def server_changed(self, event):
            has_changed.set()

    has_changed = threading.Event()
    with Client(config_for(free_address, serve()), observers=[Watch()]) as client:
        assert has_changed.wait(10.0)
        list(client.map(requests_of(20)))

    (warning,) = client_messages()
    assert f"server grpc://{free_address} is left alone for" in warning
    assert "after 1 failure: cannot be reached: UNAVAILABLE" in warning


def test_a_saturated_server_is_asked_with_pauses_that_grow(serve, config_for):
    times_asked = []
    plan = FaultPlan().on(rpc="RepositoryIndex").call(times_asked.append)
    config = config_for(serve(plan.refuse_admission()), model_ready_timeout_s=0.3)
    health = HealthConfig(first_pause_s=0.05, max_pause_s=10.0)

    with pytest.raises(ServerOverloadedError, match="saturated"):
        Client(replace(config, health=health)).__enter__()

    # Pauses of at least 0.025, 0.05, 0.1 and 0.2 s.
    assert 1 <= len(times_asked) <= 5


def test_a_server_that_comes_back_is_asked_for_admission_first(
    serve, config_for, requests_of, assert_whole
):
    asked = []
    plan = FaultPlan().on(rpc="RepositoryIndex").call(lambda a: asked.append(a.number))

    with Client(config_for(serve(plan.on(3, 4, 5).drop_connection()))) as client:
        assert_whole(list(client.map(requests_of(20))), 20)

    assert len(asked) >= 2
