"""Faults of one server: others answer, and the event is not to blame."""

import random
import threading
from dataclasses import replace

import numpy as np
import pytest

from mock_server import FaultPlan, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Client,
    FailsEverywhereError,
    Failure,
    HealthConfig,
    Observer,
    RejectedRequestError,
    Request,
    ServerConfig,
    ServerFaultError,
)

FEATURES = Served("FEATURES", "FP32", (-1, 3))
ROW_SPLITS = Served("ROW_SPLITS", "INT64", (-1,))
LABELS = Served("LABELS", "INT64", (-1,))
FAULTS = {
    "stub died": ("INTERNAL", "Stub process 'label_0_0' is not healthy."),
    "no memory": ("INTERNAL", "OutOfMemoryError: CUDA out of memory."),
    "unknown": ("UNKNOWN", "Exception calling application"),
    "data loss": ("DATA_LOSS", "truncated"),
}


def label_rows(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


class States(Observer):
    def __init__(self):
        self.states = []

    def server_changed(self, event):
        self.states.append((event.server, event.state))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_another_server_answers_and_the_sick_one_is_left_alone(
    serve, config_for, requests_of, assert_whole, fault
):
    arrivals, states = [], States()
    sick = serve(FaultPlan().on().call(arrivals.append).on().refuse(*fault))
    first = ServerConfig(url=sick.url, preferred=True)  # it would get all requests
    config = replace(
        config_for(first, serve()),
        health=HealthConfig(first_pause_s=60.0, max_pause_s=60.0),
    )

    with Client(config, observers=[states]) as client:
        assert_whole(list(client.map(requests_of(200))), 200)

    assert (sick.url, "open") in states.states
    # Those that were in flight, and those after which it was left alone.
    most = config.window.max_requests + config.health.open_after_failures
    assert len(arrivals) <= most


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_the_fallback_answers_where_there_is_no_other_server(
    serve, config_for, requests_of, assert_whole, fault
):
    sick = serve(FaultPlan().on().refuse(*fault))

    with Client(config_for(sick), fallback=label_rows) as client:
        outcomes = list(client.map(requests_of(50)))

    assert_whole(outcomes, 50)
    assert all(outcome.is_fallback for outcome in outcomes)


def test_the_same_server_is_asked_again_after_a_wait_if_there_is_no_other(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().on(1, 2).refuse(*FAULTS["stub died"]))

    with Client(config_for(server)) as client:
        assert_whole(list(client.map(requests_of(1))), 1)


PROXY_STATUSES = [400, 404, 405, 410, 414, 421, 422, 426, 431, 451, 501]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("status", [*PROXY_STATUSES, 500, 502, 504, 507])
def test_an_http_status_of_a_broken_server_or_proxy_is_its_fault(
    serve, config_for, requests_of, assert_whole, status, protocol
):
    text, states = "<html><title>Not here</title></html>", States()
    broken = serve(FaultPlan().on().refuse(status, text), http_port=0)
    url = broken.url if protocol == "grpc" else broken.http_url
    first = ServerConfig(url=url, preferred=True)  # it would get all requests

    with Client(config_for(first, serve()), observers=[states]) as client:
        assert_whole(list(client.map(requests_of(20))), 20)

    assert (url, "open") in states.states


REFUSALS = "UNIMPLEMENTED", "FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS"


@pytest.mark.parametrize("status", REFUSALS)
def test_what_another_server_may_not_say_is_asked_there(
    serve, config_for, requests_of, assert_whole, status
):
    refusing = serve(FaultPlan().on().refuse(status, "not here"))

    with Client(config_for(refusing)) as client:
        (failure,) = client.map(requests_of(1))
    with Client(config_for(refusing, serve())) as client:
        assert_whole(list(client.map(requests_of(20))), 20)

    assert isinstance(failure.error, RejectedRequestError)
    assert failure.tries == 1  # there was no other one


def test_a_model_that_only_one_server_lacks_is_asked_for_at_the_other(
    serve, config_for, requests_of, assert_whole, label_model
):
    without = FaultPlan().on().refuse("NOT_FOUND", "unknown model 'label'")

    with Client(config_for(serve(without), serve())) as client:
        assert_whole(list(client.map(requests_of(20))), 20)


def test_what_every_server_would_say_is_said_once(serve, config_for, requests_of):
    arrivals = []
    text = "event of 9 space points is too dense for these weights"
    plan = FaultPlan().on().call(arrivals.append).on().refuse("INVALID_ARGUMENT", text)
    servers = serve(plan), serve(plan)

    with Client(config_for(*servers), fallback=label_rows) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, RejectedRequestError)
    assert len(arrivals) == failure.tries == 1
    assert client.statistics().server_changes == {}


class Poisoned:
    """A model that breaks on some events, wherever they go.

    Attributes
    ----------
    n_broken : int
        How often it was given one of them.
    """

    def __init__(self, numbers):
        self._numbers = np.array(sorted(numbers))
        self._lock = threading.Lock()
        self.n_broken = 0

    def __call__(self, tensors):
        if np.isin(tensors["FEATURES"][:, 0], self._numbers).any():
            with self._lock:
                self.n_broken += 1
            raise RuntimeError("the stub died")
        return label_rows(tensors)


def poison_job(serve, config_for, poisoned, n_events, fallback=None, **settings):
    """Outcomes of events at two servers, some of which break both, and statistics."""
    inputs = [FEATURES, ROW_SPLITS] if "layout" in settings else [FEATURES]
    servers = [
        serve(models=[Model("label", inputs, [LABELS], poisoned, instances=4)])
        for _ in "ab"
    ]
    requests = [
        Request(n, {"FEATURES": np.full((2, 3), n, np.float32)})
        for n in range(n_events)
    ]
    retry = {"budget_burst": 1e6, **settings.pop("retry", {})}
    config = config_for(*servers, retry=retry, **settings)
    with Client(config, fallback=fallback) as client:
        return list(client.map(requests)), client.statistics()


@pytest.mark.parametrize("has_fallback", [False, True], ids=["alone", "fallback"])
@pytest.mark.parametrize("layout", ["per_event", "concat"])
def test_exactly_the_poison_events_fail(serve, config_for, layout, has_fallback):
    n_events = 2000 if layout == "per_event" else 300
    poison = set(random.Random(5).sample(range(n_events), n_events // 20))
    poisoned = Poisoned(poison)
    settings = {"layout": layout} if layout == "concat" else {}

    outcomes, _ = poison_job(
        serve,
        config_for,
        poisoned,
        n_events,
        poisoned if has_fallback else None,
        **settings,
    )

    assert [outcome.request_id for outcome in outcomes] == list(range(n_events))
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert {failure.request_id for failure in failed} == poison
    for failure in failed:
        assert "the stub died" in str(failure.error)
        if isinstance(failure.error, FailsEverywhereError):
            assert failure.error.request_id == str(failure.request_id)
        else:  # the fallback was the only one left
            assert has_fallback
            assert isinstance(failure.error, ServerFaultError)
    if layout == "per_event":
        assert poisoned.n_broken <= 3 * len(poison)


def test_the_error_of_a_poison_event_names_all_that_it_broke(
    serve, config_for, requests_of
):
    poisoned = Poisoned({0})
    model = Model("label", [FEATURES], [LABELS], poisoned)
    config = config_for(serve(models=[model]), serve(models=[model]))

    with Client(config, fallback=poisoned) as client:
        while len(client.statistics().servers) < 2:  # both are known
            list(client.map(requests_of(3)[1:]))
        (failure,) = client.map(requests_of(1))

    assert failure.tries == len(failure.servers) == 3
    for server in failure.servers:
        assert f"{server} failed the call" in str(failure.error)


def test_a_row_of_poison_events_does_not_take_their_neighbours(serve, config_for):
    poison = set(range(20, 36))  # as many as are in flight

    outcomes, _ = poison_job(serve, config_for, Poisoned(poison), 60)

    failed = {each.request_id for each in outcomes if isinstance(each, Failure)}
    assert failed == poison
    assert all(
        isinstance(each.error, FailsEverywhereError)
        for each in outcomes
        if isinstance(each, Failure)
    )


@pytest.mark.parametrize("fault_tries", [1, 2, 4])
def test_the_tries_of_an_event_that_breaks_servers_are_bounded(
    serve, config_for, fault_tries
):
    poisoned = Poisoned({0})

    (failure,), _ = poison_job(
        serve, config_for, poisoned, 1, retry={"fault_tries": fault_tries}
    )

    assert poisoned.n_broken == failure.tries == fault_tries
    assert f"after {fault_tries} tr" in str(failure.error)
