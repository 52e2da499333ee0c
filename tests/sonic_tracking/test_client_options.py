"""Servers, fallback and timeouts from options, a file, and the environment."""

import json

import pytest

from mock_server import FaultPlan, MockServer
from mock_server.tracking import tracking_models
from producers import TrackEvents
from sonic_client import ConfigError
from sonic_tracking.jobs.connection import ClientSettings

BALANCER = ("SONIC_LOCAL_BALANCER_HOST", "SONIC_LOCAL_BALANCER_PORT")


@pytest.fixture(autouse=True)
def no_site(monkeypatch):
    for name in BALANCER:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "client.toml"
    path.write_text(
        """
        [client]
        servers = ["file:1"]
        deadline_s = 7
        [client.retry]
        allowed_tries = 2
        try_timeout_s = 3
        [client.fallback]
        name = "triton"
        """
    )
    return path


def urls(config):
    return [server.url for server in config.servers]


def test_options_go_before_the_file_entry_by_entry(file):
    config = ClientSettings(file=file, try_timeout_s=5.0, fallback="mock").config()

    assert urls(config) == ["grpc://file:1"]
    assert config.deadline_s == 7.0
    assert (config.retry.allowed_tries, config.retry.try_timeout_s) == (2, 5.0)
    assert config.fallback.name == "mock"
    assert config.model_name == "exatrkx"


def test_several_servers_share_their_access(file, tmp_path):
    config = ClientSettings(
        file=file, servers=("a:443", "grpcs://b"), token_file=tmp_path / "token"
    ).config()

    assert urls(config) == ["grpcs://a:443", "grpcs://b:443"]
    assert {server.token_file for server in config.servers} == {tmp_path / "token"}


def test_the_environment_names_the_server_if_nothing_else_does(monkeypatch, file):
    monkeypatch.setenv(BALANCER[0], "balancer.site")
    monkeypatch.setenv(BALANCER[1], "8001")

    assert urls(ClientSettings().config()) == ["grpc://balancer.site:8001"]
    assert urls(ClientSettings(file=file).config()) == ["grpc://file:1"]
    assert urls(ClientSettings(servers=("a:1",)).config()) == ["grpc://a:1"]


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv(BALANCER[0], "balancer.site")

    with pytest.raises(ConfigError, match="SONIC_LOCAL_BALANCER_PORT go together"):
        ClientSettings().config()


def test_a_mistake_in_the_file_is_named_with_the_file(file):
    file.write_text("[client]\nservers = 'a:1'\ndeadlin_s = 3")

    with pytest.raises(ConfigError, match="unknown key 'deadlin_s'") as caught:
        ClientSettings(file=file).config()
    assert str(file) in str(caught.value)


def test_the_model_follows_the_layout_unless_it_is_told():
    settings = ClientSettings(servers=("a:1",), layout="concat")

    assert settings.config().model_name == "exatrkx_batch"


def job_summary(result, tmp_path):
    assert result.exit_code == 0, result.output
    return json.loads((tmp_path / "job.json").read_text())["summary"]


REFUSALS = {
    "down": ("UNAVAILABLE", "out of order"),
    "stub died": ("INTERNAL", "Stub process 'exatrkx_0_0' is not healthy."),
    "no memory": ("INTERNAL", "OutOfMemoryError: CUDA out of memory."),
    "limit": ("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)"),
    "http limit": (400, "9 bytes exceeds ... Use --http-max-input-size to increase"),
    "proxy's limit": (413, "Request Entity Too Large"),
    "proxy's error": (502, "Bad Gateway"),
}


@pytest.fixture(scope="module", params=REFUSALS.values(), ids=REFUSALS)
def bad_url(request, weights):
    """A server that answers each event with an error of its own."""
    code, text = request.param
    refusing = FaultPlan().on().refuse(code, text)
    with MockServer(tracking_models(weights), faults=refusing, http_port=0) as bad:
        yield bad.http_url if isinstance(code, int) else bad.url


def test_a_job_is_completed_by_the_other_server(
    sonic, sample, weights, tmp_path, bad_url
):
    with MockServer(tracking_models(weights)) as good:
        result = sonic(
            *("track", sample / "events.root", "-o", "tracks.root"),
            *("--server", bad_url, "--server", good.url),
            *("--max-events", 4, "--json", "job.json"),
        )

        assert job_summary(result, tmp_path)["server_shares"] == {good.url: 1.0}
        provenance = TrackEvents(tmp_path / "tracks.root").provenance
        assert provenance["server"] == f"{bad_url}, {good.url}"


def test_a_job_is_completed_by_the_fallback_and_says_so(
    sonic, sample, weights, tmp_path, bad_url
):
    result = sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--server", bad_url, "--fallback", "mock", "--weights", weights),
        *("--max-events", 4, "--json", "job.json"),
    )

    summary = job_summary(result, tmp_path)
    assert summary["fallback_share"] == 1.0
    assert "fallback" in result.output


def test_an_unknown_fallback_is_refused_with_the_nearest(sonic, sample):
    result = sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--server", "127.0.0.1:1", "--fallback", "mok"),
    )

    assert result.exit_code == 2
    assert "unknown fallback 'mok', nearest: 'mock'" in " ".join(result.output.split())


def test_a_file_in_cmssw_names_is_taken_as_it_is(tmp_path):
    path = tmp_path / "sonic.toml"
    path.write_text(
        '[Client]\nmodelName = "gnn"\ntimeout = 7\n'
        '[[TritonService.servers]]\nname = "a"\naddress = "host"\nport = 8001\n'
    )

    config = ClientSettings(file=path, window=3).config()

    assert config.model_name == "gnn"
    assert config.deadline_s == 7.0
    assert config.window.max_requests == 3
    assert [server.url for server in config.servers] == ["grpc://host:8001"]
