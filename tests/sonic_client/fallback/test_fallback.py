"""What answers when no server does: a server of our own, or a function."""

import asyncio
import logging
import threading
from dataclasses import replace

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from mock_server import FaultPlan
from sonic_client import (
    Answer,
    AsyncClient,
    Client,
    ConfigError,
    FallbackDriftError,
    RejectedRequestError,
    ServerUnreachableError,
    WindowConfig,
)
from sonic_client.report.observer import Observer

DOWN = FaultPlan().on().refuse("UNAVAILABLE", "out of order")


def labels_of(outcomes):
    return [outcome.outputs["LABELS"].tolist() for outcome in outcomes]


class Watcher(Observer):
    def __init__(self):
        self.states, self.answers = [], []

    def server_changed(self, event):
        self.states.append(event.state)

    def message_answered(self, event):
        self.answers.append(event.is_fallback)


def test_a_job_is_completed_when_its_server_dies(make_server, config_for, requests_of):
    fallback, watcher = make_server(), Watcher()
    with make_server() as server:
        config = config_for(server)
        client = Client(config, fallback=fallback, observers=[watcher])
        client.__enter__()
        before = list(client.map(requests_of(3)))
    after = list(client.map(requests_of(20)))
    client.__exit__(None, None, None)

    assert labels_of(before + after) == [[n, n] for n in [*range(3), *range(20)]]
    assert [outcome.is_fallback for outcome in before] == [False] * 3
    assert [outcome.is_fallback for outcome in after] == [True] * 20
    assert {outcome.server for outcome in after} == {"fallback MockServer"}
    assert watcher.answers == [False] * 3 + [True] * 20


def test_it_is_loud_once(make_server, config_for, requests_of, label_function, caplog):
    watcher = Watcher()
    with (
        caplog.at_level(logging.WARNING, "sonic_client"),
        make_server(DOWN) as server,
        Client(
            config_for(server), fallback=label_function, observers=[watcher]
        ) as client,
    ):
        list(client.map(requests_of(50)))

    assert watcher.states.count("fallback") == 1
    loud = [each for each in caplog.messages if "fallback label_rows" in each]
    assert len(loud) == 1
    assert "out of order" in loud[0]


def test_the_servers_are_used_again_when_they_recover(
    make_server, config_for, requests_of, label_function
):
    recovered = threading.Event()

    class Recovery(Observer):
        def server_changed(self, event):
            if event.state == "half_open":
                recovered.set()

    faults = FaultPlan().on(range(1, 4)).refuse("UNAVAILABLE", "out of order")
    one_by_one = WindowConfig(max_requests=1)
    with (
        make_server(faults) as server,
        Client(
            replace(config_for(server), window=one_by_one),
            fallback=label_function,
            observers=[Recovery()],
        ) as client,
    ):
        during = list(client.map(requests_of(30)))
        assert recovered.wait(10.0)
        trial = list(client.map(requests_of(1)))
        after = trial + list(client.map(requests_of(10)))

    assert any(outcome.is_fallback for outcome in during)
    assert not any(outcome.is_fallback for outcome in after)


def test_it_is_not_started_unless_it_is_needed(make_server, config_for, requests_of):
    class NeverStarted:
        url = "grpc://127.0.0.1:1"

        def start(self):
            raise AssertionError("started")

        stop = start

    with (
        make_server() as server,
        Client(config_for(server), fallback=NeverStarted()) as client,
    ):
        outcomes = list(client.map(requests_of(3)))

    assert all(isinstance(outcome, Answer) for outcome in outcomes)


def test_one_that_cannot_start_fails_the_request_with_the_reason(
    make_server, config_for, requests_of
):
    class Broken:
        url = ""

        def start(self):
            raise OSError("no such library: libcudart")

        def stop(self):
            pass

    with (
        make_server(DOWN) as server,
        Client(config_for(server), fallback=Broken()) as client,
    ):
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, ServerUnreachableError)
    assert "cannot be started: no such library: libcudart" in str(failure.error)
    assert failure.servers == (server_name(client), "fallback Broken")


def server_name(client):
    return client.config.servers[0].name


def test_a_request_that_a_server_rejects_is_no_case_for_the_fallback(
    make_server, config_for, requests_of, label_function
):
    faults = FaultPlan().on().refuse("INVALID_ARGUMENT", "bad")
    with (
        make_server(faults) as server,
        Client(config_for(server), fallback=label_function) as client,
    ):
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, RejectedRequestError)
    assert failure.tries == 1


def test_a_chain_without_it_does_not_use_it(
    make_server, config_for, requests_of, label_function
):
    retry = {"chain": ("same_server", "other_server"), "patience_s": 0.0}
    with (
        make_server(DOWN) as server,
        Client(config_for(server, retry=retry), fallback=label_function) as client,
    ):
        (failure,) = client.map(requests_of(1))

    assert not isinstance(failure, Answer)


def test_what_the_function_raises_is_the_cause_of_the_failure(
    make_server, config_for, requests_of
):
    def divide(tensors):
        raise ZeroDivisionError("in the function")

    with (
        make_server(DOWN) as server,
        Client(config_for(server), fallback=divide) as client,
    ):
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error.__cause__, ZeroDivisionError)
    assert "ZeroDivisionError: in the function" in str(failure.error)


@pytest.mark.parametrize("max_concurrent", [1, 3])
def test_no_more_calls_run_at_once_than_allowed(
    make_server, config_for, requests_of, max_concurrent
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

    with (
        make_server(DOWN) as server,
        Client(
            config_for(server, max_concurrent=max_concurrent), fallback=label
        ) as client,
    ):
        assert len(list(client.map(requests_of(12)))) == 12

    assert most == max_concurrent


async def test_cancelling_a_caller_does_not_wait_for_the_function(
    make_server, config_for
):
    started, may_end = threading.Event(), threading.Event()

    def hold(tensors):
        started.set()
        may_end.wait(10.0)
        return {"LABELS": np.zeros(1, np.int64)}

    with make_server(DOWN) as server:
        async with AsyncClient(config_for(server), fallback=hold) as client:
            inputs = {"FEATURES": np.zeros((1, 3), np.float32)}
            task = asyncio.create_task(client.infer(inputs))
            await asyncio.to_thread(started.wait, 10.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert client.statistics().tries["LOCALLY_CANCELLED"] == 1
        may_end.set()


def test_the_first_events_are_compared(
    make_server, config_for, requests_of, label_function, caplog
):
    calls = []

    def counted(tensors):
        calls.append(tensors)
        return label_function(tensors)

    with (
        caplog.at_level(logging.WARNING, "sonic_client"),
        make_server() as server,
        Client(config_for(server, compare_events=3), fallback=counted) as client,
    ):
        outcomes = list(client.map(requests_of(20)))

    assert len(calls) == 3
    assert not any(outcome.is_fallback for outcome in outcomes)
    assert caplog.messages == []


def shifted(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64) + 1}


def test_drift_warns(make_server, config_for, requests_of, caplog):
    with (
        caplog.at_level(logging.WARNING, "sonic_client"),
        make_server() as server,
        Client(config_for(server, compare_events=1), fallback=shifted) as client,
    ):
        (answer,) = client.map(requests_of(1))

    assert answer.outputs["LABELS"].tolist() == [0, 0]
    (message,) = caplog.messages
    assert "do not agree: output 'LABELS': 2 of 2 elements differ" in message


def test_drift_fails_the_event_if_asked_to(make_server, config_for, requests_of):
    settings = {"compare_events": 1, "on_drift": "raise"}
    with (
        make_server() as server,
        Client(config_for(server, **settings), fallback=shifted) as client,
    ):
        first, second = client.map(requests_of(2))

    assert isinstance(first.error, FallbackDriftError)
    assert isinstance(second, Answer)


def test_an_unknown_name_is_refused_before_anything_is_opened(make_server, config_for):
    with (
        make_server() as server,
        pytest.raises(ConfigError, match="unknown fallback 'tritn'"),
    ):
        Client(config_for(server, name="tritn")).__enter__()


def test_what_is_neither_server_nor_function_is_refused(make_server, config_for):
    with make_server() as server, pytest.raises(ConfigError, match="FallbackServer"):
        Client(config_for(server), fallback=3).__enter__()


def test_it_is_given_tensors_in_shared_memory_without_being_asked(
    make_server, config_for, requests_of
):
    fallback = make_server()
    with make_server(DOWN) as server:
        client = Client(config_for(server), fallback=fallback)
        with client:
            (outcome,) = client.map(requests_of(1))
            regions = fallback_regions(fallback.url)

    assert outcome.is_fallback
    assert regions


def fallback_regions(url):
    with InferenceServerClient(url.removeprefix("grpc://")) as raw:
        return raw.get_system_shared_memory_status().regions
