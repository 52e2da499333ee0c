"""Directories in Triton's layout: isolation, life cycle, what goes wrong."""

import json
import sys
from textwrap import dedent

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from mock_server import MockServer
from mock_server.core.sources import load_repository
from mock_server.errors import ModelLoadError
from sonic_base import SonicError

CONFIG = """
backend: "python"
input { name: "X" data_type: TYPE_INT32 dims: 1 }
output { name: "Y" data_type: TYPE_STRING dims: 1 }
"""
MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils
{imports}

class TritonPythonModel:
    def initialize(self, args):
        {initialize}

    def execute(self, requests):
        text = np.array([{text}], dtype=object)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("Y", text)]) for _ in requests
        ]

    def finalize(self):
        {finalize}
"""


@pytest.fixture
def write(tmp_path):
    """Write a model that answers with a text; other files lie beside it."""

    def make(
        name,
        text="'here'",
        *,
        imports="",
        initialize="pass",
        finalize="pass",
        config=CONFIG,
        **files,
    ):
        folder = tmp_path / name / "1"
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "config.pbtxt").write_text(config)
        source = dedent(MODEL).format(
            imports=imports, initialize=initialize, text=text, finalize=finalize
        )
        (folder / "model.py").write_text(source)
        for module, content in files.items():
            (folder / f"{module}.py").write_text(content)
        return tmp_path

    return make


@pytest.fixture
def answer_of(connect, tensor):
    def ask(server, name):
        x = tensor("X", np.ones(1, np.int32))
        return connect(server).infer(name, [x]).as_numpy("Y").item().decode()

    return ask


def test_models_do_not_see_the_files_of_one_another(serve, write, answer_of):
    write("a", "helper.NAME", imports="import helper", helper="NAME = 'of a'")
    folder = write("b", "helper.NAME", imports="import helper", helper="NAME = 'of b'")

    server = serve(repository=folder)

    assert [answer_of(server, name) for name in ("a", "b")] == ["of a", "of b"]


def test_interpreter_is_as_it_was_once_models_are_loaded(serve, write):
    before = set(sys.modules), list(sys.path)
    folder = write("a", imports="import helper", helper="NAME = 1")

    serve(repository=folder)

    new = set(sys.modules) - before[0]
    assert not {"helper", "triton_python_backend_utils"} & new
    assert sys.path == before[1]


def test_model_is_finalized_when_it_is_unloaded(serve, write, connect, tmp_path):
    ended = tmp_path / "ended"
    folder = write("a", finalize=f"open({str(ended)!r}, 'w').close()")
    server = serve(repository=folder, model_control="explicit", load_models=["a"])

    connect(server).unload_model("a")
    server.stop()

    assert ended.exists()


def test_file_that_has_changed_is_loaded_anew(serve, write, connect, answer_of):
    folder = write("a", "'old'")
    server = serve(repository=folder, model_control="explicit", load_models=["a"])
    assert answer_of(server, "a") == "old"

    write("a", "'anew'")
    connect(server).load_model("a")

    assert answer_of(server, "a") == "anew"


def test_model_that_fails_on_the_way_leaves_the_former_one(
    serve, write, connect, answer_of
):
    folder = write("a", "'old'")
    server = serve(repository=folder, model_control="explicit", load_models=["a"])

    write("a", initialize="raise RuntimeError('no weights')")
    with pytest.raises(InferenceServerException, match="no weights"):
        connect(server).load_model("a")

    assert answer_of(server, "a") == "old"


@pytest.mark.parametrize("kind", ["absolute", "above"])
@pytest.mark.parametrize("names", ["the model", "the labels"])
def test_a_client_loads_no_file_from_outside_of_the_folder(
    serve, write, connect, answer_of, tmp_path, kind, names
):
    folder = write("a", "'own'")
    server = serve(repository=folder, model_control="explicit", load_models=["a"])
    ran = tmp_path / "ran"
    foreign = tmp_path / "foreign.py"
    foreign.write_text(f"open({str(ran)!r}, 'w').close()")
    name = str(foreign) if kind == "absolute" else "../../foreign.py"
    config = {"backend": "python", "max_batch_size": 0}
    config["input"] = [{"name": "X", "data_type": "TYPE_INT32", "dims": [1]}]
    output = {"name": "Y", "data_type": "TYPE_STRING", "dims": [1]}
    if names == "the model":
        config["default_model_filename"] = name
    else:
        output["label_filename"] = name
    config["output"] = [output]

    with pytest.raises(InferenceServerException, match="of a file in its directory"):
        connect(server).load_model("a", config=json.dumps(config))

    assert not ran.exists()
    assert answer_of(server, "a") == "own"


def test_server_does_not_start_with_a_model_that_cannot_be_loaded(write):
    folder = write("a", initialize="raise RuntimeError('no weights')")
    server = MockServer(repository=folder)

    with pytest.raises(SonicError) as error:
        server.start()

    assert str(error.value) == (
        "load failed for model 'a': version 1 is at UNAVAILABLE state: Internal: "
        "RuntimeError: no weights; mend the model or load only the others"
    )


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (CONFIG.replace("python", "onnxruntime"), "expected backend 'python'"),
        ('name: "b"' + CONFIG, "failed to load 'a'"),
        ("nonsense" + CONFIG, "failed to load 'a'"),
    ],
    ids=["backend", "name", "text"],
)
def test_configuration_that_cannot_be_served(write, config, text):
    folder = write("a", config=config)

    with pytest.raises(ModelLoadError, match=text):
        MockServer(repository=folder).start()


def test_hidden_folders_and_files_are_no_models(write, tmp_path):
    write("a")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README").touch()

    assert [each.name for each in load_repository(tmp_path)] == ["a"]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(NotADirectoryError, match=r"no directory .*nowhere"):
        MockServer(repository=tmp_path / "nowhere")


def test_declared_model_may_be_unloaded_and_loaded(serve, connect, tensor, double):
    client = connect(serve(double, model_control="explicit"))

    client.unload_model("double")
    assert not client.is_model_ready("double")
    client.load_model("double")

    x = np.ones((1, 3), np.float32)
    assert client.infer("double", [tensor("X", x)]).as_numpy("Y").tolist() == [
        [2, 2, 2]
    ]
