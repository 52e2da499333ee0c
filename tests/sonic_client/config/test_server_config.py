"""What a server's configuration takes, refuses, and does not show."""

import pickle
from pathlib import Path

import pytest

from sonic_base import Secret, SecretMapping
from sonic_client import ClientConfig, ConfigError, ServerConfig, TlsConfig
from sonic_client.transport.grpc import channel_options

CANARY = "canary-7f3a"


def test_headers_are_kept_in_lower_case():
    config = ServerConfig(url="h:443", headers={"X-Group": "it", "Authorization": "b"})

    assert dict(config.headers) == {"x-group": "it", "authorization": "b"}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x y": "1"}, "'x y' is not a header name"),
        ({"x": "two\nlines"}, "the value of 'x' is not printable"),
        ({"grpc-timeout": "1"}, "reserved"),
        ({"key-bin": "1"}, "reserved"),
        ({"A": "1", "a": "2"}, "twice"),
    ],
    ids=["name", "value", "grpc", "binary", "twice"],
)
def test_headers_that_cannot_be_sent_are_refused_without_their_value(headers, message):
    with pytest.raises(ConfigError, match=message) as error:
        ServerConfig(url="h:1", headers=headers)

    assert "lines" not in str(error.value)


@pytest.mark.parametrize(
    "sources",
    [
        {"token": "a", "token_env": "B"},
        {"token": "a", "headers": {"Authorization": "b"}},
    ],
    ids=["two", "header"],
)
def test_there_is_one_source_of_the_token(sources):
    with pytest.raises(ConfigError, match="exclude one another"):
        ServerConfig(url="h:1", **sources)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"compression": "gzipp"}, "unknown compression 'gzipp', nearest: 'gzip'"),
        ({"shared_memory": "on"}, "unknown shared_memory 'on'"),
        ({"max_message_bytes": 0}, "max_message_bytes must be from 1"),
        ({"max_message_bytes": 2**31}, "max_message_bytes must be from 1"),
        ({"tls": TlsConfig(server_name="h")}, "use grpcs://"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_mean_nothing_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        ServerConfig(url="h:1", **setting)


def test_a_certificate_needs_its_key(tmp_path):
    with pytest.raises(ConfigError, match="together"):
        TlsConfig(certificate=tmp_path / "certificate.pem")


def test_secrets_are_in_no_text_of_the_configuration():
    config = ClientConfig(
        servers=ServerConfig(
            url="h:443", token=CANARY, headers={"x-api-key": f"{CANARY}-key"}
        ),
        model_name="m",
    )

    assert CANARY not in f"{config!r} {config} {vars(config)}"
    assert CANARY.encode() not in pickle.dumps(config)
    assert "x-api-key" in repr(config)
    assert pickle.loads(pickle.dumps(config)) == config


def test_all_of_it_can_come_from_a_file(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(
        f"""
        [client]
        model_name = "m"
        [[client.servers]]
        url = "grpcs://a.example.org"
        token = "{CANARY}"
        headers = {{ X-Group = "it" }}
        compression = "gzip"
        tls = {{ roots = "roots.pem" }}
        channel = {{ connections = 2, balancing = "pick_first" }}
        """
    )

    (server,) = ClientConfig.from_toml(path).servers

    assert server.token == Secret(CANARY)
    assert server.headers == SecretMapping({"x-group": "it"})
    assert (server.compression, server.channel.connections) == ("gzip", 2)
    assert server.tls.roots.name == "roots.pem"


@pytest.mark.parametrize(
    "entry", [f'token = ["{CANARY}"]', f'headers = {{ a = ["{CANARY}"] }}']
)
def test_a_secret_of_the_wrong_type_is_not_quoted(tmp_path, entry):
    path = tmp_path / "job.toml"
    path.write_text(
        f'[client]\nmodel_name = "m"\nservers = [{{ url = "h:1", {entry} }}]\n'
    )

    with pytest.raises(ConfigError, match="expected a t") as error:
        ClientConfig.from_toml(path)

    assert CANARY not in str(error.value)


def test_secret_mappings_are_equal_by_their_values():
    assert SecretMapping({"a": "1"}) == {"a": "1"}
    assert SecretMapping({"a": "1"}) != SecretMapping({"a": "2"})
    assert hash(SecretMapping({"a": "1"})) == hash(SecretMapping({"a": "1"}))


@pytest.mark.parametrize(
    "access",
    [
        {"token": "t"},
        {"token_file": Path("t")},
        {"token_env": "T"},
        {"headers": {"Authorization": "Basic t"}},
    ],
    ids=lambda access: next(iter(access)),
)
@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_token_goes_unencrypted_to_another_machine_only_if_that_is_asked_for(
    scheme, access
):
    url = f"{scheme}://triton.site:8001"

    with pytest.raises(ConfigError, match="would be sent unencrypted") as error:
        ServerConfig(url=url, **access)
    assert f"use {scheme}s://, or set plaintext_token = true" in str(error.value)

    ServerConfig(url=url, plaintext_token=True, **access)
    ServerConfig(url=f"{scheme}s://triton.site:8001", **access)
    for host in ("localhost", "127.0.0.1", "127.1.2.3", "[::1]"):
        assert ServerConfig(url=f"{scheme}://{host}:8001", **access).is_local


@pytest.mark.parametrize(
    ("url", "proxy", "is_off"),
    [
        ("grpc://localhost:8001", False, True),
        ("grpc://localhost:8001", True, True),
        ("grpc://triton.site:8001", False, True),
        ("grpc://triton.site:8001", True, False),
    ],
)
def test_a_proxy_of_the_environment_is_used_only_if_asked_for(url, proxy, is_off):
    options = channel_options(ServerConfig(url=url, proxy=proxy))

    assert (("grpc.enable_http_proxy", 0) in options) is is_off
