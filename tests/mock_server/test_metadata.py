from tritonclient.grpc import model_config_pb2

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
