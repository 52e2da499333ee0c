import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from sonic_client import (
    AdaptiveConfig,
    AnswersConfig,
    BatchingConfig,
    CacheConfig,
    ClientConfig,
    ConfigError,
    FallbackConfig,
    PinConfig,
    RetryConfig,
    ServerConfig,
    WindowConfig,
)


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("grpc://localhost:8001", "grpc://localhost:8001"),
        ("localhost:8001", "grpc://localhost:8001"),
        ("[::1]:8001", "grpc://[::1]:8001"),
        ("grpc://10.0.0.1:8001/", "grpc://10.0.0.1:8001"),
        ("triton.example.org:443", "grpcs://triton.example.org:443"),
        ("grpcs://triton.example.org", "grpcs://triton.example.org:443"),
        ("http://localhost:8000", "http://localhost:8000"),
    ],
)
def test_a_server_is_kept_by_its_full_url(url, full):
    assert ServerConfig(url=url).url == full


def test_the_scheme_says_how_a_server_is_spoken_to():
    server = ServerConfig(url="grpcs://triton.example.org")

    assert (server.scheme, server.uses_tls) == ("grpcs", True)
    assert server.address == "triton.example.org:443"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        ":8001",
        "ftp://localhost:8000",
        "grpc://localhost:port",
        "grpc://localhost:99999",
        "localhost:99999",
        "grpc://localhost:8001/v2",
        "grpc://user@localhost:8001",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(url):
    with pytest.raises(ConfigError, match=r"grpc://localhost:8001"):
        ServerConfig(url=url)


@pytest.mark.parametrize(
    "servers",
    [
        "a:1",
        ["a:1"],
        ServerConfig(url="a:1"),
        (ServerConfig(url="a:1"),),
    ],
)
def test_one_server_may_be_given_in_many_ways(servers):
    config = ClientConfig(servers=servers, model_name="m")

    assert config.servers == (ServerConfig(url="a:1"),)


def test_a_server_is_called_by_its_url_unless_it_is_named():
    config = ClientConfig(
        servers=["a:1", ServerConfig(url="b:1", name="farm")], model_name="m"
    )

    assert [server.name for server in config.servers] == ["grpc://a:1", "farm"]


@pytest.mark.parametrize(
    ("servers", "message"),
    [
        ([], "at least one server"),
        (["a:1", "grpc://a:1"], "'grpc://a:1' is named twice"),
    ],
)
def test_servers_that_cannot_be_told_apart_are_refused(servers, message):
    with pytest.raises(ConfigError, match=message):
        ClientConfig(servers=servers, model_name="m")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (RetryConfig, {"allowed_tries": 0}, "allowed_tries must be at least 1, got 0"),
        (RetryConfig, {"first_wait_s": 9.0}, "got 9.0 s and 5.0 s"),
        (RetryConfig, {"first_wait_s": -1.0}, "0 <= first_wait_s"),
        (WindowConfig, {"max_requests": 0}, "max_requests"),
        (WindowConfig, {"max_bytes": 0}, "max_bytes"),
        (BatchingConfig, {"max_events": 0}, "max_events"),
        (BatchingConfig, {"max_bytes": -1}, "max_bytes"),
        (BatchingConfig, {"row_splits": ""}, "row_splits"),
        (BatchingConfig, {"max_delay_s": 0.0}, "max_delay_s must be positive"),
        (BatchingConfig, {"mask": ""}, "mask must name an input"),
        (AnswersConfig, {"nonfinite": "warm"}, "unknown nonfinite 'warm'.*'warn'"),
        (CacheConfig, {"max_bytes": -1}, "must not be negative, got -1"),
        (AdaptiveConfig, {"min_requests": 0}, "min_requests must be at least 1"),
        (AdaptiveConfig, {"timeout_factor": 0.5}, "timeout_factor must be at least 1"),
        (
            AdaptiveConfig,
            {"min_timeout_s": 5.0, "max_timeout_s": 1.0},
            "need 0 < min_timeout_s <= max_timeout_s, got 5.0 s and 1.0 s",
        ),
    ],
)
def test_values_out_of_range_are_refused(kind, values, message):
    with pytest.raises(ConfigError, match=message):
        kind(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_name": ""}, "model_name"),
        ({"layout": "concatt"}, "unknown layout 'concatt', nearest: 'concat'"),
        ({"deadline_s": 0.0}, "deadline_s must be positive and finite"),
        ({"startup_timeout_s": float("inf")}, "startup_timeout_s"),
    ],
)
def test_client_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ClientConfig(**{"servers": "host:1", "model_name": "m", **values})


def test_config_is_frozen_and_pickles():
    config = ClientConfig(servers="host:1", model_name="m")

    with pytest.raises(FrozenInstanceError):
        config.servers = "other:1"
    assert pickle.loads(pickle.dumps(config)) == config


def test_toml_file_gives_the_same_as_the_constructor(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(
        """
        [client]
        servers = "grpc://host:8001"
        model_name = "exatrkx_batch"
        fallback = "mock"
        layout = "concat"
        deadline_s = 60
        [client.retry]
        allowed_tries = 2
        [client.window]
        max_requests = 4
        [other]
        key = 1
        """
    )

    assert ClientConfig.from_toml(path) == ClientConfig(
        servers="grpc://host:8001",
        model_name="exatrkx_batch",
        fallback=FallbackConfig(name="mock"),
        layout="concat",
        deadline_s=60.0,
        retry=RetryConfig(allowed_tries=2),
        window=WindowConfig(max_requests=4),
    )


@pytest.mark.parametrize(
    "text",
    [
        "servers = ['a:1', 'b:1']\nmodel_name = 'm'",
        "model_name = 'm'\nservers = [{ url = 'a:1' }, 'b:1']",
        "model_name = 'm'\n[[client.servers]]\nurl = 'a:1'\n"
        "[[client.servers]]\nurl = 'b:1'",
    ],
)
def test_servers_in_a_file_are_texts_or_tables(tmp_path, text):
    path = tmp_path / "job.toml"
    path.write_text(f"[client]\n{text}")

    assert ClientConfig.from_toml(path) == ClientConfig(
        servers=["a:1", "b:1"], model_name="m"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[client]\nmodel_name = 'm'", "key 'servers' is missing"),
        (
            "[client]\nservers = 'h:1'\nmodel_nam = 'm'",
            "unknown key 'model_nam', nearest: 'model_name', 'model_version'",
        ),
        (
            "[client]\nservers = 'h:1'\nmodel_name = 'm'\nretry.allowed_tries = 0",
            "retry: allowed_tries must be at least 1, got 0",
        ),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, text, message):
    path = tmp_path / "job.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message) as caught:
        ClientConfig.from_toml(path)
    assert str(path) in str(caught.value)


TOML = """
[client]
servers = "grpc://localhost:8001"
model_name = "exatrkx"
layout = "padded"
cast = "same_kind"

[client.batching]
max_delay_s = 0.5
mask = "IS_REAL"
padding_value = -1
variable_outputs = ["TRACKS"]

[client.answers]
nonfinite = "raise"
writable = true

[client.cache]
max_bytes = 1000
folder = "answers"

[client.pin]
config_pbtxt = "models/exatrkx/config.pbtxt"

[client.adaptive]
window = true
slow_call_s = 2
"""


def test_every_section_is_read_from_a_file(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(TOML)

    config = ClientConfig.from_toml(path)

    assert (config.layout, config.cast) == ("padded", "same_kind")
    assert config.batching == BatchingConfig(
        max_delay_s=0.5,
        mask="IS_REAL",
        padding_value=-1.0,
        variable_outputs=("TRACKS",),
    )
    assert config.answers == AnswersConfig(nonfinite="raise", writable=True)
    assert config.cache == CacheConfig(max_bytes=1000, folder=Path("answers"))
    assert config.pin == PinConfig(config_pbtxt=Path("models/exatrkx/config.pbtxt"))
    assert config.adaptive == AdaptiveConfig(window=True, slow_call_s=2.0)
    assert pickle.loads(pickle.dumps(config)) == config
