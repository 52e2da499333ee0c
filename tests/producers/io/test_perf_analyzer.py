"""Inputs of a model as perf_analyzer takes them."""

import json

import numpy as np
import pytest

from producers.io import PerfAnalyzerWriter


def test_inputs_for_perf_analyzer(tmp_path):
    path = tmp_path / "events.json"
    features = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)

    with PerfAnalyzerWriter(path, as_numbers=True) as writer:
        writer.write({"FEATURES": features})
        writer.write({"FEATURES": np.empty((0, 3), dtype=np.float32)})

    assert json.loads(path.read_text()) == {
        "data": [
            {"FEATURES": {"content": [1.0, 2.0, 3.0], "shape": [1, 3]}},
            {"FEATURES": {"content": [], "shape": [0, 3]}},
        ]
    }
    with PerfAnalyzerWriter(path, force=True) as writer:
        writer.write({"FEATURES": features})
    (entry,) = json.loads(path.read_text())["data"]
    assert entry == {"FEATURES": {"b64": "AACAPwAAAEAAAEBA", "shape": [1, 3]}}


def test_a_failed_export_leaves_nothing(tmp_path):
    def fail():
        with PerfAnalyzerWriter(tmp_path / "events.json") as writer:
            writer.write({"X": np.zeros(3)})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert list(tmp_path.iterdir()) == []
