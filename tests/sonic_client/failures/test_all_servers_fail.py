"""All servers fail and there is no fallback: fail fast, with every server's error."""

import pytest

from mock_server import FaultPlan
from sonic_client import Client, GivenUpError, NoServerError
from sonic_client.report.observer import Observer


def down(number):
    return FaultPlan().on().refuse("UNAVAILABLE", f"out of order, number {number}")


def test_no_more_calls_are_made_once_every_breaker_is_open(
    serve, config_for, requests_of
):
    servers = [serve(down(n)) for n in range(2)]
    config = config_for(*servers, retry={"patience_s": 0.0})

    with Client(config) as client:
        outcomes = list(client.map(requests_of(500)))
        n_calls = sum(client.statistics().tries.values())

    assert all(isinstance(outcome.error, GivenUpError) for outcome in outcomes)
    assert n_calls < 200
    assert isinstance(outcomes[-1].error, NoServerError)


def test_the_failure_has_the_last_error_of_every_server(serve, config_for, requests_of):
    servers = [serve(down(n)) for n in range(3)]

    with Client(config_for(*servers, retry={"patience_s": 0.0})) as client:
        outcomes = list(client.map(requests_of(200)))

    error = outcomes[-1].error
    assert set(error.last_errors) == {server.url for server in servers}
    for number, server in enumerate(servers):
        assert f"out of order, number {number}" in str(error.last_errors[server.url])
        assert server.url in str(error)


def test_the_patience_is_for_an_outage_and_not_for_each_request(
    serve, config_for, requests_of
):
    server = serve(down(0))

    with Client(config_for(server, retry={"patience_s": 0.2})) as client:
        outcomes = list(client.map(requests_of(100)))

    assert isinstance(outcomes[-1].error, NoServerError)


class States(Observer):
    def __init__(self):
        self.states = []

    def server_changed(self, event):
        self.states.append(event.state)


def test_a_server_that_comes_back_within_the_patience_is_used(
    serve, config_for, requests_of, assert_whole
):
    plan = FaultPlan().on(range(1, 8)).refuse("UNAVAILABLE", "out of order")
    states = States()
    config = config_for(serve(plan), retry={"allowed_tries": 8})

    with Client(config, observers=[states]) as client:
        assert_whole(list(client.map(requests_of(50))), 50)

    assert states.states[:2] == ["open", "half_open"]
    assert states.states[-1] == "healthy"


@pytest.mark.parametrize("allowed_tries", [1, 2, 5])
def test_the_budget_and_not_only_the_tries_bounds_a_storm(
    serve, config_for, requests_of, allowed_tries
):
    """Of 200 requests to a server that only fails, few are repeated at once."""
    arrivals = []
    plan = FaultPlan().on().call(arrivals.append).on().refuse("ABORTED", "no")
    retry = {
        "allowed_tries": allowed_tries,
        "budget_burst": 5.0,
        "budget_ratio": 0.1,
        "budget_retries_per_s": 100.0,
        "patience_s": 0.0,
    }

    with Client(config_for(serve(plan), retry=retry)) as client:
        outcomes = list(client.map(requests_of(200)))

    assert len(outcomes) == 200
    assert len(arrivals) <= 200 * allowed_tries
