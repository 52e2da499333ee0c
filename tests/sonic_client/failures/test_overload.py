"""Servers without capacity: waited for, and neither failed tries nor taken for dead."""

import logging
import threading
from dataclasses import replace

import numpy as np
import pytest

from mock_server import DynamicBatching, FaultPlan, Model, QueuePolicy
from mock_server import TensorSpec as Served
from sonic_client import (
    Client,
    DeadlineExceededError,
    Observer,
    Request,
    RetryConfig,
    ServerConfig,
    ServerOverloadedError,
    Timing,
    WindowConfig,
)

FEATURES = Served("FEATURES", "FP32", (-1, 3))
LABELS = Served("LABELS", "INT64", (-1,))
QUEUE_FULL = ("UNAVAILABLE", "in ensemble 'label', Exceeds maximum queue size")
THROTTLED = ("RESOURCE_EXHAUSTED", "too many requests")
REFUSALS = {"queue": QUEUE_FULL, "throttled": THROTTLED}


def label_rows(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


class States(Observer):
    def __init__(self):
        self.states = []

    def server_changed(self, event):
        self.states.append(event.state)


class FakeTime:
    """A clock that only the waits between tries move."""

    def __init__(self):
        self.now, self.waits_s = 1000.0, []
        self.timing = Timing(
            clock=lambda: self.now, sleep=self.sleep, jitter=lambda: 1.0
        )

    async def sleep(self, wait_s):
        self.waits_s.append(wait_s)
        self.now += wait_s


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_an_overload_that_ends_is_waited_for(
    serve, config_for, requests_of, assert_whole, refusal
):
    server, states = serve(FaultPlan().on(1, 2).refuse(*refusal)), States()

    with Client(config_for(server), observers=[states]) as client:
        assert_whole(list(client.map(requests_of(5))), 5)

    assert states.states[:2] == ["saturated", "healthy"]


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_not_failed_tries(
    serve, config_for, requests_of, assert_whole, refusal
):
    server = serve(FaultPlan().on(range(1, 40)).refuse(*refusal))

    with Client(config_for(server, retry={"allowed_tries": 1})) as client:
        assert_whole(list(client.map(requests_of(5))), 5)
        statistics = client.statistics()

    assert statistics.refusals == {server.url: 39}
    assert statistics.tries[refusal[0]] == 39
    assert f"{server.url} was full" in str(client.summary())


def test_the_waits_of_a_full_server_do_not_use_up_the_budget_of_retries(
    serve, config_for, requests_of, assert_whole
):
    time = FakeTime()
    server = serve(FaultPlan().on(range(1, 30)).refuse(*QUEUE_FULL))
    retry = {"budget_burst": 1.0, "budget_ratio": 0.0, "budget_retries_per_s": 0.001}

    with Client(config_for(server, retry=retry), timing=time.timing) as client:
        assert_whole(list(client.map(requests_of(1))), 1)

    assert max(time.waits_s) < 1.0


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_an_overload_that_lasts_is_named_and_the_server_is_not_left(
    serve, config_for, requests_of, refusal
):
    server, states = serve(FaultPlan().on().refuse(*refusal)), States()
    config = config_for(server, retry={"first_wait_s": 1.0}, deadline_s=60.0)

    with Client(config, observers=[states], timing=FakeTime().timing) as client:
        failures = list(client.map(requests_of(10)))

    for failure in failures:
        assert isinstance(failure.error, DeadlineExceededError)
        assert isinstance(failure.error.failures[-1], ServerOverloadedError)
        assert refusal[1] in str(failure.error)
    assert states.states == ["saturated"]


def test_a_server_with_capacity_is_asked_meanwhile(
    serve, config_for, requests_of, assert_whole
):
    is_full = threading.Event()
    full = serve(FaultPlan().on(when=lambda _: is_full.is_set()).refuse(*THROTTLED))
    # So long that the other one is the only one for the rest of the test.
    retry = {"first_wait_s": 600.0, "max_wait_s": 600.0}

    with Client(config_for(full, serve(), retry=retry)) as client:
        while len(client.statistics().servers) < 2:  # both are known
            list(client.map(requests_of(2)))
        is_full.set()
        outcomes = list(client.map(requests_of(50)))
        tries = client.statistics().tries

    assert_whole(outcomes, 50)
    # Only those that were in flight when the first refusal came.
    assert tries.get("RESOURCE_EXHAUSTED", 0) <= WindowConfig().max_requests


class Refusals(Observer):
    """Knows whether a server has refused a call as full."""

    def __init__(self):
        self.has_any = threading.Event()

    def try_ended(self, event):
        if event.is_overload:
            self.has_any.set()


def test_a_queue_of_one_is_enough_for_a_window_of_sixteen(serve, config_for, caplog):
    refusals = Refusals()

    def label(tensors):
        assert refusals.has_any.wait(10.0)  # busy until the queue was full once
        return {"LABELS": tensors["FEATURES"][:, :, 0].astype(np.int64)}

    policy = QueuePolicy(max_queue_size=1)
    batching = DynamicBatching(default_queue_policy=policy)
    options = {"max_batch_size": 1, "dynamic_batching": batching}
    server = serve(models=[Model("label", [FEATURES], [LABELS], label, **options)])
    requests = [
        Request(n, {"FEATURES": np.full((1, 2, 3), n, np.float32)}) for n in range(100)
    ]
    config = config_for(server, retry={"first_wait_s": 0.01, "max_wait_s": 0.1})

    with (
        caplog.at_level(logging.WARNING, "sonic_client"),
        Client(config, observers=[refusals]) as client,
    ):
        outcomes = list(client.map(requests))
        statistics = client.statistics()

    found = [outcome.outputs["LABELS"][0, 0] for outcome in outcomes]
    assert found == list(range(100))
    assert statistics.refusals[server.url] == statistics.tries["UNAVAILABLE"] > 0
    assert set(statistics.tries) == {"OK", "UNAVAILABLE"}
    assert len([each for each in caplog.messages if "is full: waiting" in each]) == 1


HTTP_REFUSALS = {
    "429": (429, "slow down", None),
    "429 with Retry-After": (429, "", 0.0),
    "503 with Retry-After": (503, "Service Unavailable", 0.0),
    "503 by its text": (503, "upstream rate limit exceeded", None),
}


@pytest.mark.parametrize(
    ("code", "text", "retry_after_s"), HTTP_REFUSALS.values(), ids=HTTP_REFUSALS
)
def test_a_proxy_that_throttles_is_waited_for(
    serve, config_for, requests_of, assert_whole, code, text, retry_after_s
):
    plan = FaultPlan().on(range(1, 30))
    server = serve(plan.refuse(code, text, retry_after_s=retry_after_s), http_port=0)
    config = config_for(server.http_url, retry={"allowed_tries": 1})

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(5))), 5)
        assert client.statistics().refusals == {server.http_url: 29}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_wait_is_at_least_as_long_as_the_server_asks_for(
    serve, config_for, requests_of, assert_whole, protocol
):
    time = FakeTime()
    plan = FaultPlan().on(1).refuse("UNAVAILABLE", "busy", retry_after_s=7.0)
    server = serve(plan, http_port=0)
    url = server.url if protocol == "grpc" else server.http_url

    with Client(config_for(url), timing=time.timing) as client:
        assert_whole(list(client.map(requests_of(1))), 1)

    assert time.waits_s == [7.0]


def test_the_long_wait_that_one_server_asks_for_is_not_for_the_others(
    serve, config_for, requests_of, assert_whole
):
    plan = FaultPlan().on().refuse("UNAVAILABLE", "busy", retry_after_s=3600.0)
    servers = serve(plan), serve(FaultPlan().on(range(1, 30)).refuse(*QUEUE_FULL))
    config = config_for(*servers, retry={"allowed_tries": 1}, deadline_s=60.0)

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(10))), 10)


def test_a_server_that_comes_back_is_asked_while_another_asks_for_a_long_wait(
    serve, config_for, requests_of, assert_whole
):
    plan = FaultPlan().on().refuse("UNAVAILABLE", "busy", retry_after_s=3600.0)
    # Each request fails there before it is refused by the full one.
    lost = FaultPlan().on(range(1, 6)).refuse("UNAVAILABLE", "lost")
    first = ServerConfig(url=serve(lost).url, preferred=True)
    config = replace(
        config_for(first, serve(plan), deadline_s=60.0),
        retry=RetryConfig(first_wait_s=0.01, same_server_retries=0),
    )

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(10))), 10)


def test_a_server_that_asks_for_a_wait_beyond_the_deadline_is_not_waited_for(
    serve, config_for, requests_of
):
    plan = FaultPlan().on().refuse("UNAVAILABLE", "busy", retry_after_s=3600.0)

    with Client(config_for(serve(plan), deadline_s=60.0)) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, DeadlineExceededError)
    assert failure.tries == 1


def test_the_fallback_is_asked_when_the_patience_is_over(
    serve, config_for, requests_of, assert_whole
):
    time = FakeTime()
    server = serve(FaultPlan().on().refuse(*QUEUE_FULL))
    retry = {"first_wait_s": 1.0, "max_wait_s": 8.0, "full_patience_s": 20.0}
    config = config_for(server, retry=retry, window=WindowConfig(max_requests=1))

    with Client(config, fallback=label_rows, timing=time.timing) as client:
        first = list(client.map(requests_of(1)))
        n_refused = client.statistics().refusals[server.url]
        later = list(client.map(requests_of(10)))

    assert_whole(first, 1)
    assert_whole(later, 10)
    assert time.waits_s == [1.0, 2.0, 4.0, 8.0, 5.0]  # 20 s in all
    assert n_refused == 6
    # Full for so long already: those after it are asked for room once.
    assert [outcome.tries for outcome in later] == [2] * 10


def test_the_fallback_has_half_of_the_time_to_the_deadline(
    serve, config_for, requests_of, assert_whole
):
    time = FakeTime()
    server = serve(FaultPlan().on().refuse(*QUEUE_FULL))
    config = config_for(server, retry={"first_wait_s": 1.0}, deadline_s=20.0)

    with Client(config, fallback=label_rows, timing=time.timing) as client:
        assert_whole(list(client.map(requests_of(1))), 1)

    assert sum(time.waits_s) == 10.0


def test_a_fallback_does_not_answer_for_a_server_that_is_full_for_a_moment(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().on(range(1, 30)).refuse(*QUEUE_FULL))

    with Client(config_for(server), fallback=label_rows) as client:
        outcomes = list(client.map(requests_of(20)))

    assert_whole(outcomes, 20)
    assert not any(outcome.is_fallback for outcome in outcomes)
