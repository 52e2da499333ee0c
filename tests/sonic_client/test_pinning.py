"""The very model that a job was made for, or none."""

from dataclasses import replace

import pytest

from sonic_client import AsyncClient, ConfigError, ModelMismatchError, TensorSpec
from sonic_client.config import PinConfig
from sonic_client.pinning import check_pin, metadata_hash
from sonic_client.transport.fake import FakeTransport

PBTXT = """
name: "label"
backend: "python"
max_batch_size: 0
input [ { name: "FEATURES" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
output [ { name: "LABELS" data_type: TYPE_INT64 dims: [ -1 ] } ]
parameters { key: "cut" value { string_value: "0.5" } }
"""


@pytest.fixture
def pinned(metadata):
    return replace(metadata, parameters={"cut": "0.5", "instances": "2"})


@pytest.fixture
def pbtxt(tmp_path):
    path = tmp_path / "config.pbtxt"
    path.write_text(PBTXT)
    return path


def mismatches_of(metadata, pin):
    with pytest.raises(ModelMismatchError) as caught:
        check_pin(metadata, pin, server="grpc://h:1")
    return [str(each) for each in caught.value.mismatches]


def test_the_pinned_model_passes(pinned, pbtxt):
    pin = PinConfig(
        version="3", metadata_hash=metadata_hash(pinned), config_pbtxt=pbtxt
    )

    check_pin(pinned, pin, server="grpc://h:1")


def test_nothing_pinned_passes_everything(pinned):
    check_pin(pinned, PinConfig(), server="grpc://h:1")


def test_another_version_is_refused(pinned):
    assert mismatches_of(pinned, PinConfig(version="2")) == [
        "'version': expected 2, got 3"
    ]


def test_the_hash_is_of_everything_but_the_version(pinned):
    known = metadata_hash(pinned)

    assert metadata_hash(replace(pinned, version="4")) == known
    changed = [
        replace(pinned, parameters={"cut": "0.6", "instances": "2"}),
        replace(pinned, max_batch_size=4),
        replace(pinned, outputs=(TensorSpec("LABELS", "INT32", (-1,)),)),
    ]
    assert known not in {metadata_hash(each) for each in changed}
    assert len(mismatches_of(changed[0], PinConfig(metadata_hash=known))) == 1


def test_all_differences_from_the_configuration_file_are_listed(pinned, pbtxt):
    other = replace(
        pinned,
        inputs=(TensorSpec("FEATURES", "FP32", (-1, 4)),),
        outputs=(TensorSpec("LABEL", "INT64", (-1,)),),
        parameters={"cut": "0.6"},
    )

    assert mismatches_of(other, PinConfig(config_pbtxt=pbtxt)) == [
        "'input FEATURES': expected FP32[-1,3], got FP32[-1,4]",
        "'output LABELS': expected INT64[-1], got nothing",
        "'output LABEL': expected nothing, got INT64[-1]",
        "'parameter cut': expected 0.5, got 0.6",
    ]


def test_a_batch_dimension_is_not_in_the_file(pinned, pbtxt):
    pbtxt.write_text(PBTXT.replace("max_batch_size: 0", "max_batch_size: 8"))
    batched = replace(
        pinned,
        max_batch_size=8,
        inputs=(TensorSpec("FEATURES", "FP32", (-1, -1, 3)),),
        outputs=(TensorSpec("LABELS", "INT64", (-1, -1)),),
    )

    check_pin(batched, PinConfig(config_pbtxt=pbtxt), server="grpc://h:1")


@pytest.mark.parametrize("content", [None, "input [ {", "colour: 3"])
def test_a_bad_configuration_file_is_named(pinned, tmp_path, content):
    path = tmp_path / "config.pbtxt"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=r"config\.pbtxt: "):
        check_pin(pinned, PinConfig(config_pbtxt=path), server="grpc://h:1")


async def test_a_client_does_not_open_with_another_model(metadata, config, echo_rows):
    transport = FakeTransport(metadata, echo_rows)
    config = replace(config, pin=PinConfig(version="7"))

    with pytest.raises(ModelMismatchError, match="'version': expected 7, got 3"):
        async with AsyncClient(config, transport=transport):
            pass

    assert transport.calls == []
    assert not transport.is_open
