"""The page about the client: its program runs, and its settings are the defaults."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from mock_server import MockServer, Model, TensorSpec
from sonic_client import ClientConfig

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()


def block(language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


def test_the_program_runs(capsys):
    model = Model(
        "exatrkx",
        [TensorSpec("FEATURES", "FP32", (-1, 3))],
        [TensorSpec("LABELS", "INT64", (-1,))],
        lambda tensors: {"LABELS": np.zeros(len(tensors["FEATURES"]), np.int64)},
    )
    with MockServer([model]) as server:
        code = block("python").replace("grpc://localhost:8001", server.url)
        exec(compile(code, "docs/client.md", "exec"), {})

    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [f"{number} (100,)" for number in range(5)]
    assert any(line.split()[:2] == ["events", "6"] for line in lines)


def test_the_settings_of_the_page_are_all_and_the_defaults(tmp_path):
    file = tmp_path / "client.toml"
    file.write_text(block("toml"))

    config = ClientConfig.from_toml(file)

    assert config == ClientConfig(servers="grpc://localhost:8001", model_name="exatrkx")


def test_every_setting_is_on_the_page():
    config, text = ClientConfig(servers="h:1", model_name="m"), block("toml")
    (server,) = config.servers
    sections = [config, server, server.tls, server.channel]
    sections += filter(is_dataclass, vars(config).values())
    names = [each.name for section in sections for each in fields(section)]

    missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
    assert missing == ["same_outputs"]  # a function, which no file can hold
