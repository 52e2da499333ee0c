"""The fallback: a local server or function that answers when no server does."""

import asyncio
import logging
import threading
from dataclasses import replace

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from mock_server import FaultPlan, MockServer, profile_of
from sonic_client import (
    Answer,
    AsyncClient,
    Client,
    ConfigError,
    FallbackConfig,
    FallbackDriftError,
    Observer,
    RejectedRequestError,
    ServerUnreachableError,
    WindowConfig,
)

DOWN = FaultPlan().on().refuse("UNAVAILABLE", "out of order")


def label_rows(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


def shifted(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64) + 1}


class Watcher(Observer):
    def __init__(self):
        self.states, self.answers = [], []
        self.has_recovered = threading.Event()

    def server_changed(self, event):
        self.states.append(event.state)
        if event.state == "half_open":
            self.has_recovered.set()

    def message_answered(self, event):
        self.answers.append(event.is_fallback)


def test_a_job_is_completed_when_its_server_dies(
    serve, config_for, requests_of, assert_whole, label_model
):
    watcher, server = Watcher(), serve()
    fallback = MockServer([label_model])

    with Client(config_for(server), fallback=fallback, observers=[watcher]) as client:
        before = list(client.map(requests_of(3)))
        server.stop()
        after = list(client.map(requests_of(20)))

    assert_whole(before, 3)
    assert_whole(after, 20)
    assert [outcome.is_fallback for outcome in before] == [False] * 3
    assert [outcome.is_fallback for outcome in after] == [True] * 20
    assert {outcome.server for outcome in after} == {"fallback MockServer"}
    assert watcher.answers == [False] * 3 + [True] * 20


def test_it_is_announced_loudly_and_once(serve, config_for, requests_of, caplog):
    watcher, config = Watcher(), config_for(serve(DOWN))

    with (
        caplog.at_level(logging.WARNING, "sonic_client"),
        Client(config, fallback=label_rows, observers=[watcher]) as client,
    ):
        list(client.map(requests_of(50)))

    assert watcher.states.count("fallback") == 1
    (loud,) = [each for each in caplog.messages if "fallback label_rows" in each]
    assert "answers in place of the servers" in loud
    assert "out of order" in loud


def test_the_servers_are_used_again_when_they_recover(serve, config_for, requests_of):
    watcher = Watcher()
    server = serve(FaultPlan().on(range(1, 4)).refuse("UNAVAILABLE", "out of order"))
    config = config_for(server, window=WindowConfig(max_requests=1))

    with Client(config, fallback=label_rows, observers=[watcher]) as client:
        during = list(client.map(requests_of(30)))
        assert watcher.has_recovered.wait(10.0)
        after = [*client.map(requests_of(1)), *client.map(requests_of(10))]

    assert any(outcome.is_fallback for outcome in during)
    assert not any(outcome.is_fallback for outcome in after)


def test_it_is_not_started_unless_it_is_needed(
    serve, config_for, requests_of, assert_whole
):
    class NeverStarted:
        url = "grpc://127.0.0.1:1"

        def start(self):
            raise AssertionError("started")

        stop = start

    with Client(config_for(serve()), fallback=NeverStarted()) as client:
        assert_whole(list(client.map(requests_of(3))), 3)


def test_one_that_cannot_start_fails_the_request_with_the_reason(
    serve, config_for, requests_of
):
    class Broken:
        url = ""

        def start(self):
            raise OSError("no such library: libcudart")

        def stop(self):
            pass

    server = serve(DOWN)
    with Client(config_for(server), fallback=Broken()) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, ServerUnreachableError)
    assert "cannot be started: no such library: libcudart" in str(failure.error)
    assert failure.servers == (server.url, "fallback Broken")


def test_a_request_that_a_server_rejects_does_not_go_to_the_fallback(
    serve, config_for, requests_of
):
    server = serve(FaultPlan().on().refuse("INVALID_ARGUMENT", "bad"))

    with Client(config_for(server), fallback=label_rows) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, RejectedRequestError)
    assert failure.tries == 1


def test_a_chain_without_it_does_not_use_it(serve, config_for, requests_of):
    retry = {"chain": ("same_server", "other_server"), "patience_s": 0.0}

    config = config_for(serve(DOWN), retry=retry)
    with Client(config, fallback=label_rows) as client:
        (failure,) = client.map(requests_of(1))

    assert not isinstance(failure, Answer)


def test_an_exception_of_the_function_is_the_cause_of_the_failure(
    serve, config_for, requests_of
):
    def divide(tensors):
        raise ZeroDivisionError("in the function")

    with Client(config_for(serve(DOWN)), fallback=divide) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError: in the function" in str(failure.error)


@pytest.mark.parametrize("max_concurrent", [1, 3])
def test_no_more_calls_run_at_once_than_allowed(
    serve, config_for, requests_of, max_concurrent
):
    lock, running, most = threading.Lock(), 0, 0
    all_in = threading.Barrier(max_concurrent)

    def label(tensors):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_in.wait(10.0)
        with lock:
            running -= 1
        return {"LABELS": np.zeros(len(tensors["FEATURES"]), np.int64)}

    settings = FallbackConfig(max_concurrent=max_concurrent)
    config = config_for(serve(DOWN), fallback=settings)
    with Client(config, fallback=label) as client:
        assert len(list(client.map(requests_of(12)))) == 12

    assert most == max_concurrent


async def test_cancelling_a_caller_does_not_wait_for_the_function(serve, config_for):
    started, may_end = threading.Event(), threading.Event()

    def hold(tensors):
        started.set()
        may_end.wait(10.0)
        return {"LABELS": np.zeros(1, np.int64)}

    async with AsyncClient(config_for(serve(DOWN)), fallback=hold) as client:
        inputs = {"FEATURES": np.zeros((1, 3), np.float32)}
        task = asyncio.create_task(client.infer(inputs))
        await asyncio.to_thread(started.wait, 10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.statistics().tries["LOCALLY_CANCELLED"] == 1
    may_end.set()


def test_the_first_events_are_compared(serve, config_for, requests_of, client_messages):
    calls = []

    def counted(tensors):
        calls.append(tensors)
        return label_rows(tensors)

    config = config_for(serve(), fallback=FallbackConfig(compare_events=3))
    with Client(config, fallback=counted) as client:
        outcomes = list(client.map(requests_of(20)))

    assert len(calls) == 3
    assert not any(outcome.is_fallback for outcome in outcomes)
    assert client_messages() == []


@pytest.mark.parametrize("on_drift", ["warn", "raise"])
def test_a_difference_warns_or_fails_the_event(
    serve, config_for, requests_of, caplog, on_drift
):
    settings = FallbackConfig(compare_events=1, on_drift=on_drift)
    with (
        caplog.at_level(logging.WARNING, "sonic_client"),
        Client(config_for(serve(), fallback=settings), fallback=shifted) as client,
    ):
        first, second = client.map(requests_of(2))

    said = caplog.text if on_drift == "warn" else str(first.error)
    assert "do not agree: output 'LABELS': 2 of 2 elements differ" in said
    if on_drift == "raise":
        assert isinstance(first.error, FallbackDriftError)
    assert second.outputs["LABELS"].tolist() == [1, 1]


def test_what_cannot_be_a_fallback_is_refused_before_anything_is_opened(
    serve, config_for
):
    unknown = config_for(serve(), fallback=FallbackConfig(name="tritn"))

    with pytest.raises(ConfigError, match="unknown fallback 'tritn'"):
        Client(unknown).__enter__()
    with pytest.raises(ConfigError, match="FallbackServer"):
        Client(config_for(serve()), fallback=3).__enter__()


def test_it_is_given_tensors_in_shared_memory_without_being_asked(
    serve, config_for, requests_of, label_model
):
    profile = replace(profile_of("24.10"), client_shared_memory=True)
    fallback = MockServer([label_model], profile=profile)

    with Client(config_for(serve(DOWN)), fallback=fallback) as client:
        (outcome,) = client.map(requests_of(1))
        address = fallback.url.removeprefix("grpc://")
        with InferenceServerClient(address) as raw:
            regions = raw.get_system_shared_memory_status().regions

    assert outcome.is_fallback
    assert regions
