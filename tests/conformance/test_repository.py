"""Index, load and unload: on servers of their own, for they do not recover from all."""

import json
from contextlib import ExitStack

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

POLLING = "explicit model load unload not allowed"
X = {"X": np.ones(1, np.int32)}
BROKEN = "load failed broken version 1 UNAVAILABLE RuntimeError: no weights"


@pytest.fixture(scope="module")
def controlled(engine, start, repository):
    """A server in explicit mode, with two models loaded."""
    with ExitStack() as stack:
        yield start(stack, engine, repository, load=["add_sub", "versions"])


@pytest.fixture(scope="module")
def polling(engine, start, repository, tmp_path_factory):
    """A server that has loaded all it found, and takes no orders."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "versions").symlink_to(repository / "versions")
    with ExitStack() as stack:
        yield start(stack, engine, folder, load=None)


def stub_of(server):
    return service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(server.grpc))


@pytest.fixture(scope="module")
def stub(controlled):
    with grpc.insecure_channel(controlled.grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture
def post(controlled, call_at):
    def send(path, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        return call_at(controlled.http, "POST", path, body)

    return send


@pytest.fixture
def load(stub):
    def send(name, **parameters):
        request = service_pb2.RepositoryModelLoadRequest(model_name=name)
        for key, value in parameters.items():
            request.parameters[key].string_param = value
        return stub.RepositoryModelLoad(request, timeout=30)

    return send


@pytest.fixture
def index(stub):
    def read(*, ready=False):
        request = service_pb2.RepositoryIndexRequest(ready=ready)
        models = stub.RepositoryIndex(request, timeout=30).models
        return [(each.name, each.version, each.state, each.reason) for each in models]

    return read


@pytest.fixture
def unload(stub, index, eventually):
    """Unload a model, and wait until it is gone: the answer may come before."""

    def send(name):
        request = service_pb2.RepositoryModelUnloadRequest(model_name=name)
        stub.RepositoryModelUnload(request, timeout=30)
        eventually(
            lambda: "UNLOADING" not in {row[2] for row in rows_of(index(), name)}
        )

    return send


@pytest.fixture
def refusal(stub):
    """Code and text of a refused load."""

    def fail(name, **parameters):
        request = service_pb2.RepositoryModelLoadRequest(model_name=name)
        for key, value in parameters.items():
            request.parameters[key].string_param = value
        with pytest.raises(grpc.RpcError) as error:
            stub.RepositoryModelLoad(request, timeout=30)
        return error.value.code().name, error.value.details()

    return fail


@pytest.fixture
def is_ready(stub):
    def read(name, version=""):
        request = service_pb2.ModelReadyRequest(name=name, version=version)
        return stub.ModelReady(request).ready

    return read


@pytest.fixture
def ask(stub, grpc_client):
    return grpc_client(stub)


def rows_of(index, name):
    return [row for row in index if row[0] == name]


def test_index_has_a_row_for_each_version_and_a_name_for_the_rest(index):
    rows = index()

    assert rows_of(rows, "versions") == [
        ("versions", "1", "READY", ""),
        ("versions", "2", "READY", ""),
        ("versions", "3", "READY", ""),
    ]
    assert rows_of(rows, "types") == [("types", "", "", "")]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_index_of_what_is_ready(index):
    assert {row[0] for row in index(ready=True)} == {"add_sub", "versions"}


def test_index_over_http(post):
    rows = post("/v2/repository/index").json

    assert {"name": "add_sub", "version": "1", "state": "READY"} in rows
    assert {"name": "types"} in rows


def test_index_of_what_is_ready_over_http(post):
    rows = post("/v2/repository/index", {"ready": True}).json

    assert {row["name"] for row in rows} == {"add_sub", "versions"}


def test_index_of_a_named_repository_is_for_http_alone(stub, post, rpc_error, refused):
    request = service_pb2.RepositoryIndexRequest(repository_name="x")

    assert rpc_error(stub.RepositoryIndex, request) == refused(
        "UNIMPLEMENTED", "repository_name not supported"
    )
    assert post("/v2/repository/x/index").json == post("/v2/repository/index").json


def test_model_is_there_once_loaded_and_gone_once_unloaded(
    load, unload, is_ready, index, ask, refused
):
    load("types")
    assert is_ready("types")
    assert rows_of(index(), "types") == [("types", "1", "READY", "")]
    assert ask("types", {"X_INT32": np.ones(1, np.int32)}).version == "1"

    unload("types")
    assert not is_ready("types")
    assert rows_of(index(), "types") == [("types", "1", "UNAVAILABLE", "unloaded")]
    assert ask("types", {}) == refused("NOT_FOUND", "types no available versions")


def test_load_and_unload_over_http(post, is_ready, eventually):
    loaded = post("/v2/repository/models/scores/load")
    assert (loaded.status, loaded.body) == (200, b"")
    assert is_ready("scores")

    unloaded = post("/v2/repository/models/scores/unload")
    assert (unloaded.status, unloaded.body) == (200, b"")
    eventually(lambda: not is_ready("scores"))


def test_unloaded_model_has_no_versions(load, unload, stub, ask, rpc_error, refused):
    load("optional")
    unload("optional")

    for rpc, request in (
        (stub.ModelMetadata, service_pb2.ModelMetadataRequest(name="optional")),
        (stub.ModelConfig, service_pb2.ModelConfigRequest(name="optional")),
    ):
        assert rpc_error(rpc, request) == refused(
            "NOT_FOUND", "optional no available versions"
        )
    assert ask("optional", X, version="1") == refused(
        "UNAVAILABLE", "optional version 1 not at ready state"
    )


@pytest.mark.parametrize("name", ["nowhere", "types", ""])
def test_unloading_what_is_not_loaded_is_no_error(unload, name):
    unload(name)


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_loading_an_unknown_model(refusal, refused, name):
    assert refusal(name) == refused("INTERNAL", f"failed to load {name}")


def test_loading_an_unknown_model_over_http(post, refused):
    answer = post("/v2/repository/models/nowhere/load")

    assert answer.error == refused(500, "failed to load nowhere")


def test_loading_again_is_no_error_and_serves_on(load, is_ready):
    load("add_sub")

    assert is_ready("add_sub")


def test_loading_an_ensemble_loads_its_steps(load, unload, is_ready):
    load("failing_step")

    assert is_ready("failing_step")
    assert is_ready("misbehaving")
    unload("failing_step")
    unload("misbehaving")


def test_unloading_an_ensemble_leaves_its_steps(load, unload, is_ready):
    load("failing_step")
    unload("failing_step")

    assert is_ready("misbehaving")
    unload("misbehaving")


def test_dependents_may_be_unloaded_too(load, stub, is_ready, eventually):
    load("failing_step")
    request = service_pb2.RepositoryModelUnloadRequest(model_name="failing_step")
    request.parameters["unload_dependents"].bool_param = True

    stub.RepositoryModelUnload(request, timeout=30)

    assert not is_ready("failing_step")
    eventually(lambda: not is_ready("misbehaving"))


def config(**changes):
    return json.dumps(
        {
            "name": "versions_latest",
            "backend": "python",
            "input": [{"name": "X", "data_type": "TYPE_INT32", "dims": [1]}],
            "output": [{"name": "VERSION", "data_type": "TYPE_STRING", "dims": [1]}],
            **changes,
        }
    )


def test_config_given_with_the_load_stays_until_the_model_is_unloaded(
    load, unload, stub
):
    def max_batch_size():
        request = service_pb2.ModelConfigRequest(name="versions_latest")
        return stub.ModelConfig(request).config.max_batch_size

    load("versions_latest", config=config(max_batch_size=7))
    assert max_batch_size() == 7
    load("versions_latest")
    assert max_batch_size() == 7

    unload("versions_latest")
    load("versions_latest")
    assert max_batch_size() == 0
    unload("versions_latest")


def test_version_policy_of_a_given_config(load, unload, is_ready):
    load(
        "versions_latest", config=config(version_policy={"latest": {"num_versions": 2}})
    )

    assert [is_ready("versions_latest", v) for v in "123"] == [False, True, True]
    unload("versions_latest")


def test_config_over_http(post, is_ready):
    answer = post(
        "/v2/repository/models/versions_latest/load",
        {"parameters": {"config": config(version_policy={"all": {}})}},
    )

    assert answer.status == 200
    assert is_ready("versions_latest", "1")
    post("/v2/repository/models/versions_latest/unload")


@pytest.mark.parametrize("text", ["{", "[]", '{"nonsense": 1}'])
def test_config_that_is_none(refusal, refused, text):
    assert refusal("optional", config=text) == refused(
        "INTERNAL", "failed to load optional"
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("x", {"string_param": "y"}, "unrecognized load parameter x"),
        ("config", {"int64_param": 1}, "load parameter config expected string_param"),
    ],
)
def test_wrong_load_parameter(stub, rpc_error, refused, key, value, words):
    request = service_pb2.RepositoryModelLoadRequest(model_name="optional")
    request.parameters[key].CopyFrom(service_pb2.ModelRepositoryParameter(**value))

    assert rpc_error(stub.RepositoryModelLoad, request) == refused(
        "INVALID_ARGUMENT", words
    )


def test_counts_survive_loading_again_but_not_unloading(
    load, unload, ask, stub, eventually
):
    def count():
        request = service_pb2.ModelStatisticsRequest(name="optional")
        (row,) = stub.ModelStatistics(request).model_stats
        return row.inference_count

    load("optional")
    ask("optional", {"NEEDED": np.ones((1, 1), np.int32)})
    eventually(lambda: count() == 1)
    load("optional")
    assert count() == 1

    unload("optional")
    load("optional")
    assert count() == 0
    unload("optional")


def test_statistics_of_an_unloaded_model(load, unload, stub, rpc_error, refused):
    load("optional")
    unload("optional")

    request = service_pb2.ModelStatisticsRequest(name="optional")
    assert rpc_error(stub.ModelStatistics, request) == refused(
        "INVALID_ARGUMENT", "optional not available"
    )


def test_request_that_runs_at_unload_finishes(load, stub, ask, tmp_path, eventually):
    load("gate")
    gate = tmp_path / "gate"
    file = np.array([str(gate)], dtype=object)
    running = stub.ModelInfer.future(ask.request("gate", {"FILE": file}), timeout=20)
    eventually(gate.with_suffix(".begun").exists)

    request = service_pb2.RepositoryModelUnloadRequest(model_name="gate")
    stub.RepositoryModelUnload(request, timeout=30)
    gate.touch()

    assert ask.answer(running.result()).model == "gate"


def test_model_that_cannot_be_loaded(
    refusal, index, stub, post, call_at, controlled, eventually, refused
):
    ready = service_pb2.ServerReadyRequest()
    eventually(lambda: stub.ServerReady(ready).ready)  # not while one is unloading

    assert refusal("broken") == refused("INVALID_ARGUMENT", BROKEN)
    over_http = post("/v2/repository/models/broken/load")
    assert over_http.error == refused(400, BROKEN)

    ((_, version, state, reason),) = rows_of(index(), "broken")
    assert (version, state) == ("1", "UNAVAILABLE")
    assert "RuntimeError: no weights" in reason
    assert not stub.ServerReady(ready).ready
    assert call_at(controlled.http, "GET", "/v2/health/ready").status == 400


def test_server_without_control_refuses_to_load(polling, call_at, rpc_error, refused):
    stub = stub_of(polling)

    for what in ("load", "unload"):
        rpc = f"RepositoryModel{what.capitalize()}"
        request = getattr(service_pb2, f"{rpc}Request")(model_name="versions")
        path = f"/v2/repository/models/versions/{what}"
        found = call_at(polling.http, "POST", path, b"").error
        assert rpc_error(getattr(stub, rpc), request) == refused("UNAVAILABLE", POLLING)
        assert found == refused(503, POLLING)


def test_server_without_control_serves_all_it_found(polling):
    stub = stub_of(polling)

    index = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest()).models

    assert [(each.name, each.version, each.state) for each in index] == [
        ("versions", "1", "READY"),
        ("versions", "2", "READY"),
        ("versions", "3", "READY"),
    ]
