"""Fixtures of the engines: a repository of one small model, a real Triton."""

from pathlib import Path

import pytest

CONFIG = """\
name: "double"
backend: "python"
input [ { name: "X" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "Y" data_type: TYPE_FP32 dims: [ -1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
MODEL = """\
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", 2 * x)]))
        return responses
"""


@pytest.fixture
def repository_of(tmp_path):
    """Writes a repository of model `double` with this source."""

    def write(source: str) -> Path:
        repository = tmp_path / "repository"
        (repository / "double" / "1").mkdir(parents=True)
        (repository / "double" / "config.pbtxt").write_text(CONFIG)
        (repository / "double" / "1" / "model.py").write_text(source)
        return repository

    return write


@pytest.fixture
def repository(repository_of):
    """Model `double`: Y = 2 X."""
    return repository_of(MODEL)
