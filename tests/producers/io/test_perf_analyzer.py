"""Inputs of a model as perf_analyzer takes them."""

import json

import numpy as np
import pytest

from producers import OutputExistsError
from producers.io import PerfAnalyzerWriter


def test_inputs_are_base64_of_their_bytes(tmp_path):
    path = tmp_path / "events.json"
    features = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)

    with PerfAnalyzerWriter(path) as writer:
        writer.write({"FEATURES": features})
        writer.write({"FEATURES": np.empty((0, 3), dtype=np.float32)})

    assert json.loads(path.read_text()) == {
        "data": [
            {"FEATURES": {"b64": "AACAPwAAAEAAAEBA", "shape": [1, 3]}},
            {"FEATURES": {"b64": "", "shape": [0, 3]}},
        ]
    }


def test_an_existing_file_is_replaced_with_force_only(tmp_path):
    (tmp_path / "events.json").write_text("old")

    with pytest.raises(OutputExistsError):
        PerfAnalyzerWriter(tmp_path / "events.json").__enter__()
    with PerfAnalyzerWriter(tmp_path / "events.json", force=True):
        pass

    assert json.loads((tmp_path / "events.json").read_text()) == {"data": []}


def test_a_failed_export_leaves_nothing(tmp_path):
    def fail():
        with PerfAnalyzerWriter(tmp_path / "events.json") as writer:
            writer.write({"X": np.zeros(3)})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert list(tmp_path.iterdir()) == []
