"""CMSSW's parameters give the configuration that ours give."""

from pathlib import Path

import pytest

from sonic_client import (
    ClientConfig,
    ConfigError,
    FallbackConfig,
    PinConfig,
    RetryConfig,
    ServerConfig,
    TlsConfig,
    WindowConfig,
)

CLIENT = {"modelName": "exatrkx", "timeout": 30}
SERVER = {"name": "purdue", "address": "sonic.example.org", "port": 8001}

TOML = """
[Client]
mode = "Sync"
modelName = "exatrkx"
modelVersion = "2"
modelConfigPath = "models/exatrkx/config.pbtxt"
preferredServer = "second"
timeout = 1500
timeoutUnit = "milliseconds"
allowedTries = 4
useSharedMemory = false
compression = "gzip"
verbose = true
outputs = ["LABELS"]

[[TritonService.servers]]
name = "first"
address = "one.example.org"
port = 8001

[[TritonService.servers]]
name = "second"
address = "two.example.org"
port = 443
useSsl = true
rootCertificates = "roots.pem"
privateKey = "key.pem"
certificateChain = "chain.pem"

[TritonService.fallback]
enable = true
container = "podman"
imageName = "triton:24.10"
wait = 60
"""


def config(client=None, servers=(SERVER,), **service):
    tables = {"Client": CLIENT | (client or {})}
    return ClientConfig.from_cmssw(
        tables | {"TritonService": {"servers": list(servers), **service}}
    )


def test_the_same_settings_give_the_same_configuration(tmp_path):
    (tmp_path / "sonic.toml").write_text(TOML)

    found = ClientConfig.from_toml(tmp_path / "sonic.toml")

    assert found == ClientConfig(
        servers=[
            ServerConfig(
                url="grpc://one.example.org:8001", name="first", compression="gzip"
            ),
            ServerConfig(
                url="grpcs://two.example.org:443",
                name="second",
                preferred=True,
                compression="gzip",
                tls=TlsConfig(
                    roots=Path("roots.pem"),
                    certificate=Path("chain.pem"),
                    key=Path("key.pem"),
                ),
            ),
        ],
        model_name="exatrkx",
        model_version="2",
        deadline_s=1.5,
        retry=RetryConfig(allowed_tries=4),
        window=WindowConfig(max_requests=1),
        pin=PinConfig(config_pbtxt=Path("models/exatrkx/config.pbtxt")),
        fallback=FallbackConfig(
            name="triton",
            start_timeout_s=60.0,
            options={"container": "podman:triton:24.10"},
        ),
    )


def test_defaults_are_those_of_cmssw():
    found = config()

    assert found == ClientConfig(
        servers=ServerConfig(
            url="grpc://sonic.example.org:8001", name="purdue", shared_memory="auto"
        ),
        model_name="exatrkx",
        deadline_s=30.0,
        retry=RetryConfig(allowed_tries=1),
    )


@pytest.mark.parametrize(("allowed", "tries"), [(0, 1), (1, 1), (2, 2)])
def test_tries_are_counted_as_in_cmssw(allowed, tries):
    assert config({"allowedTries": allowed}).retry.allowed_tries == tries


@pytest.mark.parametrize(
    ("unit", "deadline_s"),
    [("seconds", 30.0), ("milliseconds", 0.03), ("microseconds", 3e-5)],
)
def test_the_timeout_has_its_unit(unit, deadline_s):
    assert config({"timeoutUnit": unit}).deadline_s == pytest.approx(deadline_s)


def test_no_timeout_is_the_deadline_that_there_is_without():
    default = ClientConfig(servers="a:1", model_name="m").deadline_s

    assert config({"timeout": 0}).deadline_s == default


def test_certificates_are_not_looked_at_without_ssl():
    (server,) = config(servers=[SERVER | {"privateKey": "key.pem"}]).servers

    assert server.tls == TlsConfig()


@pytest.mark.parametrize(
    ("client", "service", "message"),
    [
        (
            {"allowedTrys": 2},
            {},
            "Client: unknown key 'allowedTrys', nearest: 'allowed",
        ),
        ({}, {"server": []}, "TritonService: unknown key 'server', nearest: 'servers'"),
        ({}, {"fallback": {"enabled": True}}, "unknown key 'enabled', nearest: 'enabl"),
        ({}, {"servers": [SERVER | {"ssl": True}]}, "'ssl', nearest: 'useSsl'"),
        ({"timeout": "30"}, {}, "timeout: expected int, got '30'"),
        ({"mode": "async"}, {}, "mode: expected one of"),
        ({"preferredServer": "purdu"}, {}, "'purdu' is no server of .* 'purdue'"),
        ({}, {"servers": []}, "servers"),
    ],
    ids=[
        "client",
        "service",
        "fallback",
        "server",
        "type",
        "mode",
        "preferred",
        "none",
    ],
)
def test_what_is_wrong_is_named(client, service, message):
    with pytest.raises(ConfigError, match=message):
        ClientConfig.from_cmssw(
            {
                "Client": CLIENT | client,
                "TritonService": {"servers": [SERVER]} | service,
            }
        )


def test_a_model_and_a_timeout_are_required():
    with pytest.raises(ConfigError, match="key 'modelName' is missing"):
        ClientConfig.from_cmssw({"TritonService": {"servers": [SERVER]}})
