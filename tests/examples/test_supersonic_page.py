"""The page about SuperSONIC: its client configuration is read, its values are sound."""

import re
from pathlib import Path

import pytest

from sonic_client import ClientConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "supersonic.md").read_text()


def test_client_configuration_of_the_page_is_one(tmp_path):
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "client.toml"
    file.write_text("".join(blocks))

    config = ClientConfig.from_toml(file)

    (server,) = config.servers
    assert server.uses_tls
    assert server.channel.connections == 1
    assert config.fallback.name == "mock"
    assert config.adaptive.window


def test_settings_that_the_page_names_exist(tmp_path):
    column = re.findall(r"^\|.*\|.*\| (.*) \|$", PAGE, re.MULTILINE)
    named = {name for cell in column for name in re.findall(r"`([a-z_.]+)`", cell)}
    config = ClientConfig(servers="grpc://localhost:8001", model_name="exatrkx")

    assert named
    for name in named:
        first, _, rest = name.partition(".")
        value = getattr(config, first)
        value = value[0] if first == "servers" else value
        for part in filter(None, rest.split(".")):
            value = getattr(value, part)


def test_values_are_yaml_and_keep_the_settings_that_the_client_relies_on():
    yaml = pytest.importorskip("yaml")
    values = yaml.safe_load(
        (ROOT / "deploy" / "supersonic" / "values.yaml").read_text()
    )

    (script,) = values["triton"]["args"]
    assert "--model-repository=/models" in script
    assert values["envoy"]["enabled"]
    assert values["envoy"]["rate_limiter"]["prometheus_based"]["enabled"]
    # Which needs the metrics that it reads.
    assert values["prometheus"]["enabled"]
