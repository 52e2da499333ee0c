"""Inputs of other types than the model's."""

from dataclasses import replace

import numpy as np
import pytest

from sonic_client import AsyncClient, TensorMismatchError
from sonic_client.transport import FakeTransport


async def sent_features(metadata, config, features, policy):
    async def respond(call):
        return {"LABELS": np.zeros(len(call.inputs["FEATURES"]), np.int64)}

    transport = FakeTransport(metadata, respond)
    client = AsyncClient(replace(config, cast=policy), transport=transport)
    async with client:
        await client.infer({"FEATURES": features})
    return transport.calls[0].inputs["FEATURES"]


@pytest.mark.parametrize(
    ("dtype", "policy"),
    [("float16", "safe"), ("int16", "safe"), ("float64", "same_kind")],
)
async def test_what_the_rule_allows_is_cast(metadata, config, dtype, policy):
    features = np.arange(6).reshape(2, 3).astype(dtype)

    sent = await sent_features(metadata, config, features, policy)

    assert sent.dtype == np.float32
    np.testing.assert_array_equal(sent, features)


@pytest.mark.parametrize(
    ("dtype", "policy"),
    [
        ("float64", "refuse"),
        ("float16", "refuse"),
        ("float64", "safe"),
        ("complex64", "same_kind"),
    ],
)
async def test_what_the_rule_does_not_allow_is_refused(metadata, config, dtype, policy):
    with pytest.raises(TensorMismatchError, match=r"expected FP32\[-1,3\]"):
        await sent_features(metadata, config, np.zeros((2, 3), dtype), policy)


@pytest.mark.parametrize("policy", ["refuse", "safe", "same_kind"])
async def test_byte_order_and_memory_layout_are_no_matter_of_policy(
    metadata, config, policy
):
    features = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))

    sent = await sent_features(metadata, config, features, policy)

    np.testing.assert_array_equal(sent, features)


async def test_what_is_no_array_is_named(metadata, config):
    with pytest.raises(TensorMismatchError, match="got list"):
        await sent_features(metadata, config, [[1.0, 2.0, 3.0]], "same_kind")
