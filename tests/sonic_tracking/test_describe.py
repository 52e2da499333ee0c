"""`sonic describe`: what a model takes, and an example that runs."""

import json
import subprocess
import sys

import numpy as np
import pytest

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import ModelMetadata, ServerConfig, TensorSpec
from sonic_tracking.jobs.servers import example_call, suggested_layout


def answer_zeros(tensors):
    n_rows = len(next(iter(tensors.values())))
    return {"LABELS": np.zeros(n_rows, np.int64)}


LABELS = [Served("LABELS", "INT64", (-1,))]
FEATURES = Served("FEATURES", "FP32", (-1, 3))
MODELS = [
    Model("label", [FEATURES], LABELS, answer_zeros, parameters={"r_val": "0.1"}),
    Model(
        "label_batch",
        [FEATURES, Served("ROW_SPLITS", "INT64", (-1,))],
        LABELS,
        answer_zeros,
    ),
    Model(
        "batching",
        # The batch dimension goes without saying.
        [Served("X", "FP16", (4,))],
        [Served("LABELS", "INT64", (1,))],
        lambda tensors: {"LABELS": np.zeros((len(tensors["X"]), 1), np.int64)},
        max_batch_size=8,
    ),
    Model(
        "texts",
        [Served("NAMES", "BYTES", (-1,)), Served("MASK", "BOOL", (-1, 2))],
        LABELS,
        answer_zeros,
    ),
]


@pytest.fixture
def server():
    with MockServer(MODELS) as server:
        yield server


@pytest.mark.parametrize("model", [model.name for model in MODELS])
def test_the_example_runs(sonic, server, model, tmp_path):
    result = sonic("describe", model, "--server", server.url, "--call")
    assert result.exit_code == 0, result.output
    program = tmp_path / "call.py"
    program.write_text(result.stdout)

    done = subprocess.run(
        [sys.executable, program],
        check=False,
        capture_output=True,
        text=True,
        timeout=30.0,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("LABELS int64 (")


def test_tensors_layout_and_parameters_are_shown(sonic, server):
    result = sonic("describe", "label", "--server", server.url)

    assert result.exit_code == 0
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "input FEATURES FP32[-1,3]",
        "output LABELS INT64[-1]",
        "max_batch_size 0: arrays are never cut",
        "layout per_event",
        "parameter r_val 0.1",
    ):
        assert line in shown


def test_a_description_as_json(sonic, server):
    result = sonic("describe", "label_batch", "--server", server.url, "--json")

    description = json.loads(result.stdout)
    assert description["layout"] == "concat"
    assert description["metadata"]["inputs"][0]["shape"] == [-1, 3]


def test_without_a_server_the_one_in_this_process_is_asked(sonic):
    result = sonic("describe", "exatrkx")

    assert result.exit_code == 0
    assert "sonic serve" in result.stdout
    assert 'servers="grpc://localhost:8001"' in result.stdout


def test_an_unknown_model_of_this_process_comes_with_the_nearest(refused):
    line = refused("describe", "exatrk", status=2)

    assert "nearest: 'exatrkx'" in line


def test_an_unknown_model_is_one_line(refused, server):
    line = refused("describe", "labell", "--server", server.url, status=1)

    assert "'labell' is not found" in line


@pytest.mark.parametrize(
    ("max_batch_size", "inputs", "layout"),
    [
        (0, [TensorSpec("X", "FP32", (-1, 3))], "per_event"),
        (8, [TensorSpec("X", "FP32", (-1, 3))], "rectangular"),
        (0, [TensorSpec("ROW_SPLITS", "INT64", (-1,))], "concat"),
        (0, [TensorSpec("ROW_SPLITS", "INT32", (-1,))], "per_event"),
    ],
)
def test_the_layout_follows_from_the_tensors(max_batch_size, inputs, layout):
    metadata = ModelMetadata(
        name="m",
        version="1",
        platform="",
        inputs=tuple(inputs),
        outputs=(),
        max_batch_size=max_batch_size,
    )

    assert suggested_layout(metadata) == layout


def test_the_example_says_where_the_token_is_and_not_what(tmp_path):
    file = tmp_path / "token"
    file.write_text("canary")
    metadata = ModelMetadata(
        name="m",
        version="1",
        platform="",
        inputs=(TensorSpec("X", "BF16", (-1,)),),
        outputs=(),
    )
    server = ServerConfig(url="grpcs://h:1", token_file=file)

    program = example_call(metadata, server)

    compile(program, "example", "exec")
    assert f"token_file=Path('{file}')" in program
    assert "canary" not in program
    assert program.startswith("from pathlib import Path\n\nimport ml_dtypes\n")
