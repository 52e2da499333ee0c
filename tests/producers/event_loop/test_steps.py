"""Several steps in one loop, its forms, and what becomes of events that fail."""

import asyncio
import contextlib
import itertools
import pickle
from typing import ClassVar

import awkward as ak
import grpc
import numpy as np
import pytest

from mock_server import MockServer, Model, ModelError, TensorSpec
from producers import ColumnChunk, EventFailedError, EventLoop, Step, TritonProducer
from producers.event_loop.in_flight import MAX_SKIPPED
from sonic_client import Answer, Client, ClientConfig, ConfigError, WindowConfig


def double(inputs):
    return {"TWICE": inputs["X"] * 2}


def total(inputs):
    if (inputs["X"] == 13).any():
        raise ModelError(grpc.StatusCode.INVALID_ARGUMENT, "unlucky")
    return {"SUM": inputs["X"].sum(keepdims=True)}


@pytest.fixture(scope="module")
def server():
    x = TensorSpec("X", "FP32", (-1,))
    models = [
        Model("double", [x], [TensorSpec("TWICE", "FP32", (-1,))], double),
        Model("total", [x], [TensorSpec("SUM", "FP32", (1,))], total),
    ]
    with MockServer(models) as running:
        yield running


class Double(TritonProducer):
    model_name = "double"
    inputs: ClassVar = {"X": "value"}
    output = "TWICE"


class Total(TritonProducer):
    model_name = "total"
    inputs: ClassVar = {"X": "value"}

    def produce(self, event, outputs):
        return float(outputs["SUM"][0])


class TotalOfDoubled(Total):
    needs = ("double",)

    def acquire(self, event):
        return {"X": event.products["double"]}


def values(*lists, first=0):
    array = ak.zip({"value": ak.Array(lists)})
    ids = np.arange(len(lists)) + 100 + first
    return ColumnChunk.from_awkward(array, event_ids=ids, first_entry=first)


LISTS = ([1.0, 2.0], [5.0], [3.0, 4.0, 5.0])


def test_a_producer_says_which_columns_are_which_tensors(server):
    loop = EventLoop([values(*LISTS)], Double(server.url))

    products = [(event.event_id, twice.tolist()) for event, twice in loop.run()]

    assert products == [(100, [2, 4]), (101, [10]), (102, [6, 8, 10])]
    assert loop.summaries()["double"].client.events == 3


def test_steps_side_by_side_each_give_a_product(server):
    loop = EventLoop([values(*LISTS)], [Double(server.url), Total(server.url)])

    products = [product for _, product in loop.run()]

    assert [each["total"] for each in products] == [3, 5, 12]
    assert [each["double"].tolist() for each in products][1] == [10]
    assert set(loop.summaries()) == {"double", "total"}


def test_a_chain_hands_products_on(server):
    loop = EventLoop(
        [values(*LISTS), values([7.0], first=3)],
        [Double(server.url), TotalOfDoubled(server.url)],
    )

    assert [product["total"] for _, product in loop.run()] == [6, 10, 24, 14]


def test_each_step_has_a_window_of_its_own(server):
    narrow = WindowConfig(max_requests=1)
    chunks = [values(*[[float(i)] for i in range(40)])]

    loop = EventLoop(
        chunks,
        [Double(server.url, window=narrow), TotalOfDoubled(server.url)],
    )

    assert [p["total"] for _, p in loop.run()] == [2.0 * i for i in range(40)]


def test_clients_of_the_caller_are_used_and_left_open(server):
    config = ClientConfig(servers=server.url, model_name="total")
    with Client(config) as client:
        step = Step(Total(server.url), client, name="sum")
        loop = EventLoop([values(*LISTS)], [step])
        assert [product["sum"] for _, product in loop.run()] == [3, 5, 12]

        assert client.infer({"X": np.ones(2, dtype=np.float32)})["SUM"].tolist() == [2]


UNLUCKY = ([1.0], [13.0], [3.0])


def test_a_failed_event_is_skipped_by_a_mask(server):
    loop = EventLoop([values(*UNLUCKY)], Total(server.url), on_failure="skip")

    (result,) = loop.results()

    assert result.is_failed.tolist() == [False, True, False]
    assert result.products["total"] == [1.0, None, 3.0]
    (failure,) = result.failures
    assert (failure.event_id, failure.entry) == (101, 1)
    assert failure.producer == "total"
    assert failure.servers == (server.url,)
    assert "unlucky" in failure.reason
    assert loop.failures == (failure,)
    assert loop.times().failed_events == 1


@pytest.mark.parametrize(
    ("fill", "expected"),
    [(-1.0, -1.0), (lambda event: -float(event.event_id), -101.0)],
    ids=["value", "function"],
)
def test_a_failed_event_is_filled(server, fill, expected):
    loop = EventLoop(
        [values(*UNLUCKY)], Total(server.url), on_failure="fill", fill=fill
    )

    assert [product for _, product in loop.run()] == [1.0, expected, 3.0]
    assert [failure.event_id for failure in loop.failures] == [101]


def test_events_before_the_failed_one_come_first(server):
    loop = EventLoop([values(*UNLUCKY)], Total(server.url))
    run = loop.run()

    assert next(run)[1] == 1.0
    with pytest.raises(EventFailedError, match=r"event 101 \(entry 1\)") as caught:
        next(run)
    assert caught.value.event_id == 101
    assert "unlucky" in str(caught.value.__cause__)


def test_an_event_whose_needed_product_failed_is_not_sent_on(server):
    class Unlucky(Total):
        def produce(self, event, outputs):
            return np.array(outputs["SUM"])

    class Sum(Double):
        needs = ("total",)

        def acquire(self, event):
            return {"X": event.products["total"]}

    loop = EventLoop(
        [values(*UNLUCKY)], [Unlucky(server.url), Sum(server.url)], on_failure="skip"
    )

    products = [product["double"] for _, product in loop.run()]

    assert products[1] is None
    assert [float(products[0][0]), float(products[2][0])] == [2.0, 6.0]
    assert loop.summaries()["double"].client.events == 2
    assert [failure.producer for failure in loop.failures] == ["total"]


def test_memory_is_bounded_when_no_event_passes_the_first_step(server):
    ahead = []

    def chunks():
        for first in itertools.count(step=10):
            ahead.append(first)
            yield values(*[[13.0]] * 10, first=first)

    class Sum(Double):
        needs = ("total",)

    loop = EventLoop(chunks(), [Total(server.url), Sum(server.url)], on_failure="skip")
    with contextlib.closing(loop.run()) as run:
        list(itertools.islice(run, 1000))

    assert ahead[-1] < 1000 + 3 * MAX_SKIPPED


def test_a_function_is_called_with_every_event(server):
    found = []

    EventLoop([values(*LISTS)], Total(server.url)).for_each(
        lambda event, product: found.append((event.event_id, product))
    )

    assert found == [(100, 3), (101, 5), (102, 12)]


def test_the_loop_runs_in_asyncio_without_blocking_it(server):
    async def run():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        loop = EventLoop([values(*LISTS)], Total(server.url))
        found = [product async for _, product in loop.stream()]
        ticking.cancel()
        return found, ticks

    found, ticks = asyncio.run(run())

    assert found == [3, 5, 12]
    assert ticks > 10


def test_leaving_a_stream_ends_its_source(server):
    ended = []

    def chunks():
        try:
            for first in itertools.count(step=3):
                yield values(*LISTS, first=first)
        finally:
            ended.append(True)

    async def take_one():
        stream = EventLoop(chunks(), Total(server.url)).stream()
        async with contextlib.aclosing(stream):
            return (await anext(stream))[1]

    assert asyncio.run(take_one()) == 3
    assert ended == [True]


class KeepingSink:
    def __init__(self):
        self.products = []

    def write_result(self, result):
        self.products += result.products["total"]


def test_a_sink_takes_every_chunk(server):
    sink, done = KeepingSink(), []

    times = EventLoop(
        [values(*LISTS), values([1.0], first=3)], Total(server.url), sink=sink
    ).process(done.append)

    assert sink.products == [3, 5, 12, 1]
    assert done[-1] == times.events == 4


def test_what_was_answered_before_an_interrupt_is_handed_out():
    class Interrupted:
        def map(self, requests, *, ordered=True):
            for number, request in enumerate(requests):
                if number == 2:
                    raise KeyboardInterrupt
                yield Answer(
                    request_id=request.request_id,
                    outputs={"SUM": request.inputs["X"]},
                    server="here",
                    model_version="1",
                    tries=1,
                    latency_s=0.0,
                )

    sink = KeepingSink()
    producer = Total("grpc://nowhere:1")
    loop = EventLoop([values([1.0], [2.0], [3.0])], producer, Interrupted(), sink=sink)

    with pytest.raises(KeyboardInterrupt):
        loop.process()

    assert sink.products == [1.0, 2.0]


def test_a_producer_pickles_with_its_settings(server):
    producer = pickle.loads(pickle.dumps(Double(server.url)))

    loop = EventLoop([values([4.0])], producer)

    assert [product.tolist() for _, product in loop.run()] == [[8.0]]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda url: [], "at least one producer"),
        (lambda url: [Double(url), Double(url)], "two producers are called 'double'"),
        (lambda url: [TotalOfDoubled(url), Double(url)], "needs 'double', which does"),
    ],
    ids=["none", "same name", "wrong order"],
)
def test_steps_that_do_not_fit_are_refused(server, make, expected):
    with pytest.raises(ConfigError, match=expected):
        EventLoop([], make(server.url))


def test_a_producer_without_a_client_is_refused():
    class Plain:
        def acquire(self, event): ...
        def produce(self, event, outputs): ...

    with pytest.raises(ConfigError, match="'Plain' has no client"):
        EventLoop([], Plain())


def test_a_loop_without_a_sink_has_nothing_to_write_to(server):
    with pytest.raises(ConfigError, match="no sink"):
        EventLoop([], Double(server.url)).process()


def test_a_tensor_that_the_model_lacks_is_found_before_any_event(server):
    class Wrong(Double):
        inputs: ClassVar = {"XX": "value"}

    with pytest.raises(ConfigError, match=r"'double' has no input 'XX', .*'X'"):
        list(EventLoop([values([1.0])], Wrong(server.url)).run())


def test_columns_beside_each_other_are_one_tensor():
    class Stacked(TritonProducer):
        model_name = "stacked"
        inputs: ClassVar = {"P": ("pt", "eta")}

    array = ak.Array([[{"pt": 1.0, "eta": 2.0}, {"pt": 3.0, "eta": 4.0}], []])
    events = list(ColumnChunk.from_awkward(array))

    inputs = [Stacked("grpc://nowhere:1").acquire(event) for event in events]

    assert inputs[0]["P"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert inputs[1]["P"].shape == (0, 2)
