"""The model of a configuration file, or none."""

from dataclasses import replace

import pytest

from sonic_client import (
    AsyncClient,
    ConfigError,
    ModelMismatchError,
    PinConfig,
    TensorSpec,
)
from sonic_client.servers.checks import check_pinned_model, differing_parameters
from sonic_client.transport import FakeTransport

PBTXT = """
name: "label"
backend: "python"
max_batch_size: 0
input [ { name: "FEATURES" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
output [ { name: "LABELS" data_type: TYPE_INT64 dims: [ -1 ] } ]
parameters { key: "cut" value { string_value: "0.5" } }
"""


@pytest.fixture
def served(metadata):
    return replace(metadata, parameters={"cut": "0.5", "instances": "2"})


@pytest.fixture
def pbtxt(tmp_path):
    path = tmp_path / "config.pbtxt"
    path.write_text(PBTXT)
    return path


def test_the_model_of_the_file_passes_with_parameters_of_its_own(served, pbtxt):
    check_pinned_model(served, pbtxt, server="grpc://h:1")


def test_all_differences_from_the_file_are_listed(served, pbtxt):
    other = replace(
        served,
        inputs=(TensorSpec("FEATURES", "FP32", (-1, 4)),),
        outputs=(TensorSpec("LABEL", "INT64", (-1,)),),
        parameters={"cut": "0.6"},
    )

    with pytest.raises(ModelMismatchError) as caught:
        check_pinned_model(other, pbtxt, server="grpc://h:1")
    assert [str(each) for each in caught.value.mismatches] == [
        "'input FEATURES': expected FP32[-1,3], got FP32[-1,4]",
        "'output LABELS': expected INT64[-1], got nothing",
        "'parameter cut': expected 0.5, got 0.6",
        "'output LABEL': expected nothing, got INT64[-1]",
    ]


def test_where_the_weights_lie_is_no_difference_if_both_say_which_they_are(
    served, pbtxt
):
    elsewhere = replace(served, parameters={"weights": "folder", "weights_id": "a1"})
    in_process = replace(served, parameters={"weights_id": "a1"})
    pbtxt.write_text(PBTXT.replace('"cut"', '"weights_id"').replace("0.5", "a1"))

    assert differing_parameters(elsewhere, in_process) == {}
    assert differing_parameters(in_process, elsewhere) == {}
    check_pinned_model(in_process, pbtxt, server="grpc://h:1")


def test_a_pinned_location_is_not_missed(served, pbtxt):
    pbtxt.write_text(
        PBTXT.replace('"cut"', '"weights_id"').replace("0.5", "a1")
        + 'parameters { key: "weights" value { string_value: "bundled" } }'
    )

    check_pinned_model(
        replace(served, parameters={"weights_id": "a1"}), pbtxt, server="grpc://h:1"
    )


@pytest.mark.parametrize(
    ("parameters", "differing"),
    [
        ({"weights": "bundled", "weights_id": "b2"}, {"weights_id": ("b2", "a1")}),
        (
            {"weights_id": "a1", "cut": "0.5"},
            {"cut": ("0.5", None)},
        ),
        (
            {"weights": "bundled"},
            {"weights": ("bundled", "folder"), "weights_id": (None, "a1")},
        ),
    ],
    ids=["other weights", "another cut", "unknown weights"],
)
def test_other_weights_and_cuts_differ(served, parameters, differing):
    one = replace(served, parameters=parameters)
    other = replace(served, parameters={"weights": "folder", "weights_id": "a1"})

    assert differing_parameters(one, other) == differing
    assert differing_parameters(other, one) == {
        name: values[::-1] for name, values in differing.items()
    }


def test_a_batch_dimension_is_not_in_the_file(served, pbtxt):
    pbtxt.write_text(PBTXT.replace("max_batch_size: 0", "max_batch_size: 8"))
    batched = replace(
        served,
        max_batch_size=8,
        inputs=(TensorSpec("FEATURES", "FP32", (-1, -1, 3)),),
        outputs=(TensorSpec("LABELS", "INT64", (-1, -1)),),
    )

    check_pinned_model(batched, pbtxt, server="grpc://h:1")


@pytest.mark.parametrize("content", [None, "input [ {", "colour: 3"])
def test_a_bad_file_is_named(served, tmp_path, content):
    path = tmp_path / "config.pbtxt"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=r"config\.pbtxt: "):
        check_pinned_model(served, path, server="grpc://h:1")


async def test_a_client_does_not_open_with_another_model(
    metadata, config, echo_rows, pbtxt
):
    transport = FakeTransport(metadata, echo_rows)
    config = replace(config, pin=PinConfig(config_pbtxt=pbtxt))

    with pytest.raises(ModelMismatchError, match="'parameter cut': expected"):
        async with AsyncClient(config, transport=transport):
            pass

    assert transport.calls == []
    assert not transport.is_open
