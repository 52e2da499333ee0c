"""What docs/cmssw.md says of CMSSW's parameters is so."""

import re
from dataclasses import fields
from pathlib import Path

from sonic_client import ClientConfig
from sonic_client.config import cmssw

PAGE = (Path(__file__).parents[2] / "docs" / "cmssw.md").read_text()


def block(language):
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return text


def test_its_examples_are_configurations(tmp_path):
    (tmp_path / "sonic.toml").write_text(block("toml"))
    named = {}
    exec(block("python"), named)

    (purdue,) = ClientConfig.from_toml(tmp_path / "sonic.toml").servers
    (local,) = named["config"].servers

    assert purdue.preferred
    assert local.url == "grpc://localhost:8001"


def test_its_table_has_every_parameter():
    sets = (cmssw._Client, cmssw._Server, cmssw._Fallback)
    parameters = [each.name for kind in sets for each in fields(kind)]

    missing = [name for name in parameters if not re.search(rf"\b{name}`", PAGE)]

    assert missing == []
