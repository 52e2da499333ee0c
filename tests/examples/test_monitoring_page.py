"""The blocks of docs/monitoring.md run, one after another."""

import re
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client")
pytest.importorskip("opentelemetry")

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()


def test_every_block_runs(capsys):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/monitoring.md", "exec"), names)

    output = capsys.readouterr().out
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    labels = [line.split("  ")[0] for line in shown.splitlines()]
    url = names["config"].servers[0].url
    for label in labels:
        assert re.sub(r"grpc://[\d.:]+", url, label) in output
    assert "20 done" in output
    assert 'sonic_client_events_total{outcome="answered"} 20.0' in output
