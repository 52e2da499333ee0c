"""What the server and its models say of themselves.

An instance group that the backend adds is called as the model, one of the file gets a
number.
"""

import pytest
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2, service_pb2

EXTENSIONS = {
    "classification",
    "sequence",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "cuda_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
}
"""Those of both servers; the real one also has trace and logging."""
MODELS = [
    "add_sub",
    "arguments",
    "completed",
    "decoupled",
    "optional",
    "queue",
    "reshaped",
    "scores",
    "sequence",
    "twice_sum",
    "types",
    "versions",
]
UNKNOWN = [("nowhere", ""), ("add_sub", "9"), ("broken", "")]


def path_of(name, version, what=""):
    return f"/v2/models/{name}" + (f"/versions/{version}" if version else "") + what


def config_of(stub, name, version=""):
    request = service_pb2.ModelConfigRequest(name=name, version=version)
    return stub.ModelConfig(request).config


def test_server_metadata(stub):
    metadata = stub.ServerMetadata(service_pb2.ServerMetadataRequest())

    assert (metadata.name, metadata.version) == ("triton", "2.51.0")
    assert set(metadata.extensions) >= EXTENSIONS


def test_server_metadata_over_http(http_call):
    answer = http_call("GET", "/v2")

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json["name"], answer.json["version"]) == ("triton", "2.51.0")
    assert set(answer.json["extensions"]) >= EXTENSIONS


def test_metadata_of_a_batching_model(stub):
    metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="add_sub"))

    assert metadata == service_pb2.ModelMetadataResponse(
        name="add_sub",
        versions=["1"],
        platform="python",
        inputs=[
            {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]},
            {"name": "INPUT1", "datatype": "INT32", "shape": [-1, 16]},
        ],
        outputs=[
            {"name": "OUTPUT0", "datatype": "INT32", "shape": [-1, 16]},
            {"name": "OUTPUT1", "datatype": "INT32", "shape": [-1, 16]},
        ],
    )


def test_metadata_names_every_datatype(stub):
    metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="types"))

    datatypes = {each.name: each.datatype for each in metadata.inputs}
    assert datatypes.pop("X_STRING") == "BYTES"
    assert datatypes.pop("X_GRID") == "FP32"
    assert datatypes == {
        f"X_{kind}{bits}": f"{kind}{bits}"
        for kind, sizes in (
            ("BOOL", [""]),
            ("UINT", [8, 16, 32, 64]),
            ("INT", [8, 16, 32, 64]),
            ("FP", [16, 32, 64]),
            ("BF", [16]),
        )
        for bits in sizes
    }
    assert list(metadata.inputs[-1].shape) == [-1, -1, 3]


def test_metadata_shows_the_dims_of_a_reshaped_input(stub):
    metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="reshaped"))

    assert list(metadata.inputs[0].shape) == [-1, 4]
    assert list(metadata.outputs[1].shape) == [-1, 4]


@pytest.mark.parametrize(
    ("name", "version", "versions"),
    [
        ("versions", "", ["1", "2", "3"]),
        ("versions", "2", ["2"]),
        ("versions_specific", "", ["1", "3"]),
        ("versions_latest", "", ["3"]),
    ],
)
def test_metadata_lists_versions_ascending_or_the_one_asked_for(
    stub, http_call, name, version, versions
):
    request = service_pb2.ModelMetadataRequest(name=name, version=version)

    assert list(stub.ModelMetadata(request).versions) == versions
    assert http_call("GET", path_of(name, version)).json["versions"] == versions


@pytest.mark.parametrize("name", MODELS)
def test_metadata_is_the_same_over_http(stub, http_call, name):
    metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=name))

    answer = http_call("GET", path_of(name, ""))

    assert answer.headers["content-type"] == "application/json"
    assert (
        json_format.ParseDict(answer.json, service_pb2.ModelMetadataResponse())
        == metadata
    )


@pytest.mark.parametrize(("name", "version"), UNKNOWN)
@pytest.mark.parametrize("what", ["ModelMetadata", "ModelConfig"])
def test_unknown_model_is_not_found(
    stub, rpc_error, refused, http_call, what, name, version
):
    request = getattr(service_pb2, f"{what}Request")(name=name, version=version)
    path = path_of(name, version, {"ModelConfig": "/config"}.get(what, ""))
    words = f"unknown model {name} {version} not found"

    assert rpc_error(getattr(stub, what), request) == refused("NOT_FOUND", words)
    assert http_call("GET", path).error == refused(404, words)


@pytest.mark.parametrize("version", ["abc", "99999999999999999999", "-1"])
@pytest.mark.parametrize("what", ["ModelReady", "ModelMetadata", "ModelConfig"])
def test_bad_version_is_an_invalid_argument(stub, rpc_error, refused, what, version):
    request = getattr(service_pb2, f"{what}Request")(name="add_sub", version=version)

    assert rpc_error(getattr(stub, what), request) == refused(
        "INVALID_ARGUMENT", f"version {version} should be integral > 0"
    )


def test_version_too_large_over_http_is_a_400(http_call, refused):
    answer = http_call("GET", path_of("add_sub", "99999999999999999999"))

    assert answer.error == refused(400, "version 99999999999999999999")


PINNED = {
    "input_pinned_memory": {"enable": True},
    "output_pinned_memory": {"enable": True},
}


def instances(name, count=1):
    return [{"name": name, "count": count, "kind": "KIND_CPU"}]


CONFIGS = {
    "add_sub": {
        "instance_group": instances("add_sub_0"),
        "max_batch_size": 8,
        "input": [
            {"name": "INPUT0", "data_type": "TYPE_INT32", "dims": [16]},
            {"name": "INPUT1", "data_type": "TYPE_INT32", "dims": [16]},
        ],
        "output": [
            {"name": "OUTPUT0", "data_type": "TYPE_INT32", "dims": [16]},
            {
                "name": "OUTPUT1",
                "data_type": "TYPE_INT32",
                "dims": [16],
                "label_filename": "labels.txt",
            },
        ],
        "parameters": {"meaning": {"string_value": "sum and difference"}},
    },
    "completed": {
        "max_batch_size": 4,
        "input": [{"name": "X", "data_type": "TYPE_FP32", "dims": [-1]}],
        "output": [{"name": "Y", "data_type": "TYPE_FP32", "dims": [-1]}],
        "dynamic_batching": {"preferred_batch_size": [4]},
    },
    "decoupled": {
        "input": [
            {"name": "VALUES", "data_type": "TYPE_INT32", "dims": [-1]},
            {
                "name": "HOW",
                "data_type": "TYPE_STRING",
                "dims": [1],
                "optional": True,
            },
        ],
        "output": [{"name": "VALUE", "data_type": "TYPE_INT32", "dims": [1]}],
        "model_transaction_policy": {"decoupled": True},
    },
    "gate_pair": {
        "input": [{"name": "FILE", "data_type": "TYPE_STRING", "dims": [1]}],
        "output": [{"name": "SEEN", "data_type": "TYPE_STRING", "dims": [1]}],
        "instance_group": instances("gate_pair_0", 2),
    },
    "queue": {
        "instance_group": instances("queue_0"),
        "max_batch_size": 4,
        "input": [{"name": "FILE", "data_type": "TYPE_STRING", "dims": [1]}],
        "output": [{"name": "SEEN", "data_type": "TYPE_STRING", "dims": [1]}],
        "dynamic_batching": {
            "preferred_batch_size": [1],
            "default_queue_policy": {
                "default_timeout_microseconds": 30000000,
                "allow_timeout_override": True,
                "max_queue_size": 2,
            },
        },
    },
    "priorities": {
        "instance_group": instances("priorities_0"),
        "max_batch_size": 4,
        "input": [{"name": "FILE", "data_type": "TYPE_STRING", "dims": [1]}],
        "output": [{"name": "SEEN", "data_type": "TYPE_STRING", "dims": [1]}],
        "dynamic_batching": {
            "preferred_batch_size": [1],
            "priority_levels": 3,
            "default_priority_level": 2,
        },
    },
    "batching": {
        "instance_group": instances("batching_0"),
        "max_batch_size": 4,
        "input": [{"name": "FILE", "data_type": "TYPE_STRING", "dims": [1]}],
        "output": [{"name": "SEEN", "data_type": "TYPE_STRING", "dims": [1]}],
        "dynamic_batching": {
            "preferred_batch_size": [4],  # unless given: the largest
            "max_queue_delay_microseconds": 100000,
        },
    },
    "reshaped": {
        "max_batch_size": 4,
        "input": [
            {
                "name": "X",
                "data_type": "TYPE_FP32",
                "dims": [4],
                "reshape": {"shape": [2, 2]},
            }
        ],
        "output": [
            {"name": "SHAPE", "data_type": "TYPE_INT64", "dims": [3]},
            {
                "name": "Y",
                "data_type": "TYPE_FP32",
                "dims": [4],
                "reshape": {"shape": [2, 2]},
            },
        ],
    },
    "versions": {
        "input": [{"name": "X", "data_type": "TYPE_INT32", "dims": [1]}],
        "output": [{"name": "VERSION", "data_type": "TYPE_STRING", "dims": [1]}],
        "version_policy": {"all": {}},
    },
    "versions_specific": {
        "input": [{"name": "X", "data_type": "TYPE_INT32", "dims": [1]}],
        "output": [{"name": "VERSION", "data_type": "TYPE_STRING", "dims": [1]}],
        "version_policy": {"specific": {"versions": [1, 3]}},
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_config_is_the_file_with_the_defaults_of_the_backend(stub, name):
    expected = {
        "name": name,
        "backend": "python",
        "version_policy": {"latest": {"num_versions": 1}},
        "instance_group": instances(name),
        "optimization": PINNED,
        "default_model_filename": "model.py",
        **CONFIGS[name],
    }

    # As dicts, so that a failure shows the field.
    config = json_format.MessageToDict(
        config_of(stub, name), preserving_proto_field_name=True
    )
    assert config == json_format.MessageToDict(
        json_format.ParseDict(expected, model_config_pb2.ModelConfig()),
        preserving_proto_field_name=True,
    )


def test_config_of_a_sequence_model(stub):
    batching = config_of(stub, "sequence").sequence_batching

    assert batching.max_sequence_idle_microseconds == 60_000_000
    assert batching.WhichOneof("strategy_choice") == "direct"
    start, end, ready, corrid = batching.control_input
    control = model_config_pb2.ModelSequenceBatching.Control
    assert start.control[0] == control(
        kind="CONTROL_SEQUENCE_START", int32_false_true=[0, 1]
    )
    assert end.control[0] == control(
        kind="CONTROL_SEQUENCE_END", fp32_false_true=[0, 1]
    )
    assert ready.control[0] == control(
        kind="CONTROL_SEQUENCE_READY", bool_false_true=[False, True]
    )
    assert corrid.control[0] == control(
        kind="CONTROL_SEQUENCE_CORRID", data_type="TYPE_UINT64"
    )


def test_config_of_an_ensemble(stub):
    config = config_of(stub, "twice_sum")

    assert (config.platform, config.backend) == ("ensemble", "")
    assert list(config.instance_group) == []
    assert config.default_model_filename == ""
    assert [step.model_name for step in config.ensemble_scheduling.step] == [
        "add_sub",
        "add_sub",
    ]
    assert dict(config.ensemble_scheduling.step[1].input_map) == {
        "INPUT0": "SUM",
        "INPUT1": "difference",
    }
    metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="twice_sum"))
    assert metadata.platform == "ensemble"


@pytest.mark.parametrize("name", MODELS)
def test_config_is_the_same_over_http(stub, http_call, name):
    answer = http_call("GET", f"/v2/models/{name}/config")

    assert answer.headers["content-type"] == "application/json"
    assert json_format.ParseDict(
        answer.json, model_config_pb2.ModelConfig()
    ) == config_of(stub, name)


def test_config_over_http_writes_every_default(http_call):
    config = http_call("GET", "/v2/models/add_sub/config").json

    assert config == {
        "name": "add_sub",
        "platform": "",
        "backend": "python",
        "runtime": "",
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": 8,
        "input": [
            {
                "name": name,
                "data_type": "TYPE_INT32",
                "format": "FORMAT_NONE",
                "dims": [16],
                "is_shape_tensor": False,
                "allow_ragged_batch": False,
                "optional": False,
                "is_non_linear_format_io": False,
            }
            for name in ("INPUT0", "INPUT1")
        ],
        "output": [
            {
                "name": name,
                "data_type": "TYPE_INT32",
                "dims": [16],
                "label_filename": labels,
                "is_shape_tensor": False,
                "is_non_linear_format_io": False,
            }
            for name, labels in (("OUTPUT0", ""), ("OUTPUT1", "labels.txt"))
        ],
        "batch_input": [],
        "batch_output": [],
        "optimization": {
            "priority": "PRIORITY_DEFAULT",
            "input_pinned_memory": {"enable": True},
            "output_pinned_memory": {"enable": True},
            "gather_kernel_buffer_threshold": 0,
            "eager_batching": False,
        },
        "instance_group": [
            {
                "name": "add_sub_0",
                "kind": "KIND_CPU",
                "count": 1,
                "gpus": [],
                "secondary_devices": [],
                "profile": [],
                "passive": False,
                "host_policy": "",
            }
        ],
        "default_model_filename": "model.py",
        "cc_model_filenames": {},
        "metric_tags": {},
        "parameters": {"meaning": {"string_value": "sum and difference"}},
        "model_warmup": [],
    }
