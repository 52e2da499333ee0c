"""Answers that are kept, found again, and never mixed up."""

from dataclasses import replace

import numpy as np
import pytest

from sonic_client import (
    AsyncClient,
    CacheConfig,
    ModelMetadata,
    RejectedRequestError,
    Request,
    TensorSpec,
)
from sonic_client.batching import CheckedRequest
from sonic_client.message.cache import AnswerCache
from sonic_client.transport import FakeTransport

ECHO = ModelMetadata(
    name="echo",
    version="1",
    platform="",
    inputs=(TensorSpec("X", "FP32", (-1,)),),
    outputs=(TensorSpec("X", "FP32", (-1,)),),
)


def item(**inputs):
    return CheckedRequest(request=Request("any", inputs))


@pytest.fixture
def cached_config(config):
    return replace(config, cache=CacheConfig(max_bytes=10_000))


async def run(config, transport, requests):
    async with AsyncClient(config, transport=transport) as client:
        outcomes = [outcome async for outcome in client.map(requests)]
        return outcomes, client.statistics()


async def test_a_second_pass_makes_no_requests(
    metadata, cached_config, make_request, echo_rows
):
    transport = FakeTransport(metadata, echo_rows)
    async with AsyncClient(cached_config, transport=transport) as client:
        first = [o async for o in client.map(map(make_request, range(5)))]
        n_calls = len(transport.calls)
        second = [o async for o in client.map(map(make_request, range(5)))]
        statistics = client.statistics()

    assert (n_calls, len(transport.calls)) == (5, 5)
    for before, after in zip(first, second, strict=True):
        assert before.outputs["LABELS"].tolist() == after.outputs["LABELS"].tolist()
        assert (after.server, after.tries) == ("cache", 0)
    assert (statistics.events, statistics.cached_events) == (10, 5)
    assert statistics.requests == 5


async def test_a_folder_serves_another_job(
    metadata, config, make_request, echo_rows, tmp_path
):
    config = replace(config, cache=CacheConfig(folder=tmp_path))
    await run(config, FakeTransport(metadata, echo_rows), map(make_request, range(3)))
    later = FakeTransport(metadata, echo_rows)

    outcomes, _ = await run(config, later, map(make_request, range(4)))

    assert len(later.calls) == 1
    assert [o.outputs["LABELS"].tolist() for o in outcomes] == [
        [n, n] for n in range(4)
    ]


async def test_a_damaged_file_is_not_used(tmp_path, caplog):
    config = CacheConfig(folder=tmp_path)
    await AnswerCache(config, ECHO).keep("a", {"X": np.zeros(3, np.float32)})
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:50])

    found = await AnswerCache(config, ECHO).find("a")

    assert found is None
    assert "not a readable answer" in caplog.text


async def test_failures_are_not_kept(metadata, cached_config, make_request):
    async def reject(call):
        raise RejectedRequestError(server="s", status="INVALID_ARGUMENT", details="")

    transport = FakeTransport(metadata, reject)

    await run(cached_config, transport, [make_request(0)] * 2)

    assert len(transport.calls) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"X": np.zeros(4, np.float32)}, {"X": np.ones(4, np.float32)}),
        ({"X": np.zeros(4, np.float32)}, {"X": np.zeros((4, 1), np.float32)}),
        ({"X": np.zeros(4, np.float32)}, {"X": np.zeros(4, np.int32)}),
        ({"X": np.zeros(4, np.float32)}, {"Y": np.zeros(4, np.float32)}),
        (
            {"X": np.array([b"ab", b"c"], object)},
            {"X": np.array([b"a", b"bc"], object)},
        ),
    ],
    ids=["values", "shape", "type", "name", "where strings end"],
)
def test_requests_that_differ_have_other_keys(first, second):
    cache = AnswerCache(CacheConfig(max_bytes=1), ECHO)

    assert cache.key_of(item(**first)) != cache.key_of(item(**second))


def test_another_version_of_the_model_has_other_keys():
    x = np.zeros(4, np.float32)
    keys = {
        AnswerCache(CacheConfig(max_bytes=1), model).key_of(item(X=x))
        for model in (ECHO, replace(ECHO, version="2"))
    }

    assert len(keys) == 2


def test_memory_layout_does_not_matter():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    cache = AnswerCache(CacheConfig(max_bytes=1), ECHO)

    assert cache.key_of(item(X=x)) == cache.key_of(item(X=np.asfortranarray(x)))


async def test_the_answer_that_was_asked_for_longest_ago_goes_first():
    cache = AnswerCache(CacheConfig(max_bytes=24), ECHO)
    for key in "ab":
        await cache.keep(key, {"X": np.zeros(3, np.float32)})
    await cache.find("a")

    await cache.keep("c", {"X": np.zeros(3, np.float32)})

    assert await cache.find("b") is None
    assert await cache.find("a") is not None
    assert await cache.find("c") is not None


async def test_an_answer_larger_than_the_cache_is_not_kept():
    cache = AnswerCache(CacheConfig(max_bytes=8), ECHO)

    await cache.keep("a", {"X": np.zeros(3, np.float32)})

    assert await cache.find("a") is None


async def test_a_kept_answer_does_not_keep_its_message():
    message = np.zeros(1000, np.float32)
    cache = AnswerCache(CacheConfig(max_bytes=100), ECHO)

    await cache.keep("a", {"X": message[:3]})

    kept = (await cache.find("a"))["X"]
    assert kept.base is None
    assert not kept.flags.writeable


async def test_strings_stay_in_memory(tmp_path):
    cache = AnswerCache(CacheConfig(max_bytes=100, folder=tmp_path), ECHO)

    await cache.keep("a", {"X": np.array([b"text"], object)})

    assert (await cache.find("a"))["X"].tolist() == [b"text"]
    assert list(tmp_path.rglob("*.npz")) == []
