import grpc
import pytest
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

from mock_server import Model, TensorSpec


def some(version="1", **options):
    return Model(
        name="some",
        inputs=[TensorSpec("IDS", "INT64", (-1,)), TensorSpec("TEXT", "BYTES", (2,))],
        outputs=[TensorSpec("OUT", "BF16", (-1, 3))],
        function=lambda tensors: {},
        version=version,
        **options,
    )


def test_server_and_its_models_are_ready_from_the_start(serve, connect):
    client = connect(serve(some()))

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("some")
    assert client.is_model_ready("some", "1")


def test_server_says_it_is_triton(serve, connect):
    metadata = connect(serve()).get_server_metadata()

    assert (metadata.name, metadata.version) == ("triton", "2.51.0")
    assert list(metadata.extensions)[:3] == [
        "classification",
        "sequence",
        "model_repository",
    ]
    assert len(metadata.extensions) == 13


@pytest.mark.parametrize(
    ("name", "version"), [("other", ""), ("some", "9"), ("", "")], ids=str
)
def test_unknown_model_is_not_ready_and_no_error(serve, connect, name, version):
    assert not connect(serve(some())).is_model_ready(name, version)


def test_metadata_lists_the_tensors_in_their_order(serve, connect):
    metadata = connect(serve(some())).get_model_metadata("some")

    assert metadata == service_pb2.ModelMetadataResponse(
        name="some",
        versions=["1"],
        platform="python",
        inputs=[
            {"name": "IDS", "datatype": "INT64", "shape": [-1]},
            {"name": "TEXT", "datatype": "BYTES", "shape": [2]},
        ],
        outputs=[{"name": "OUT", "datatype": "BF16", "shape": [-1, 3]}],
    )


def test_metadata_puts_the_batch_dimension_first(serve, connect):
    metadata = connect(serve(some(max_batch_size=8))).get_model_metadata("some")

    assert list(metadata.inputs[1].shape) == [-1, 2]
    assert list(metadata.outputs[0].shape) == [-1, -1, 3]


def test_config_is_that_of_a_python_backend_model(serve, connect):
    model = some(max_batch_size=8, parameters={"feature_scales": "3.0"}, instances=2)

    config = connect(serve(model)).get_model_config("some").config

    assert config == model_config_pb2.ModelConfig(
        name="some",
        backend="python",
        max_batch_size=8,
        version_policy={"latest": {"num_versions": 1}},
        input=[
            {"name": "IDS", "data_type": "TYPE_INT64", "dims": [-1]},
            {"name": "TEXT", "data_type": "TYPE_STRING", "dims": [2]},
        ],
        output=[{"name": "OUT", "data_type": "TYPE_BF16", "dims": [-1, 3]}],
        instance_group=[{"name": "some_0", "count": 2, "kind": "KIND_CPU"}],
        optimization={
            "input_pinned_memory": {"enable": True},
            "output_pinned_memory": {"enable": True},
        },
        default_model_filename="model.py",
        parameters={
            "feature_scales": model_config_pb2.ModelParameter(string_value="3.0")
        },
    )


def test_versions_are_listed_ascending_and_the_highest_is_meant(serve, connect):
    client = connect(serve(some("10", instances=3), some("9")))

    assert list(client.get_model_metadata("some").versions) == ["9", "10"]
    assert list(client.get_model_metadata("some", "9").versions) == ["9"]
    assert client.get_model_config("some").config.instance_group[0].count == 3


def test_index_has_a_row_for_each_version(serve, connect):
    index = connect(serve(some("2"), some("1"))).get_model_repository_index()

    assert [(m.name, m.version, m.state, m.reason) for m in index.models] == [
        ("some", "1", "READY", ""),
        ("some", "2", "READY", ""),
    ]


def test_index_of_a_named_repository_is_not_supported(serve, stub_of):
    request = service_pb2.RepositoryIndexRequest(repository_name="/models")

    with pytest.raises(grpc.RpcError) as error:
        stub_of(serve()).RepositoryIndex(request)

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details() == "'repository_name' specification is not supported"


@pytest.mark.parametrize(
    ("which", "text"),
    [
        (("other", ""), "Request for unknown model: 'other' is not found"),
        (("some", "9"), "Request for unknown model: 'some' version 9 is not found"),
    ],
    ids=["name", "version"],
)
@pytest.mark.parametrize("rpc", ["get_model_metadata", "get_model_config"])
def test_unknown_model_is_not_found(serve, connect, rpc, which, text):
    with pytest.raises(InferenceServerException) as error:
        getattr(connect(serve(some())), rpc)(*which)

    assert error.value.status() == "StatusCode.NOT_FOUND"
    assert error.value.message() == text


NOT_A_NUMBER = (
    "failed to get model version from specified version string '{}' "
    "(details: stol), version should be an integral value > 0"
)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("abc", NOT_A_NUMBER.format("abc")),
        (str(2**63), NOT_A_NUMBER.format(2**63)),
        (
            "-1",
            "invalid model version specified '-1' , "
            "version should be an integral value > 0",
        ),
    ],
    ids=["text", "too-large", "negative"],
)
@pytest.mark.parametrize(
    "rpc", ["is_model_ready", "get_model_metadata", "get_model_config"]
)
def test_version_that_is_no_number_is_an_error(serve, connect, rpc, version, text):
    with pytest.raises(InferenceServerException) as error:
        getattr(connect(serve(some())), rpc)("some", version)

    assert error.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert error.value.message() == text


def test_version_is_read_as_far_as_it_is_a_number(serve, connect):
    assert connect(serve(some())).is_model_ready("some", " 1st")
