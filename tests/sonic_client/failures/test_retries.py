"""How often a request is tried: as often as allowed, and five defects that ours lacks.

The defects are those of the retry chain of cms-sw/cmssw#51643, i to v.
"""

import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    GivenUpError,
    NoServerError,
    Observer,
    RejectedRequestError,
    Timing,
    TriesExhaustedError,
)

NO = ("ABORTED", "no")


def down(number):
    return FaultPlan().on().refuse("UNAVAILABLE", f"out of order, number {number}")


def counted(*refusal):
    """Calls that arrive, and the plan that refuses them."""
    arrivals = []
    return arrivals, FaultPlan().on().call(arrivals.append).on().refuse(*refusal)


def test_i_there_is_a_delay_between_tries(serve, config_for, requests_of):
    """Each is drawn between zero and a bound that doubles; here it is the bound."""
    waits_s = []

    async def sleep(duration_s):
        waits_s.append(duration_s)

    config = config_for(
        serve(FaultPlan().on(1, 2).refuse("UNAVAILABLE", "not now")),
        retry={"first_wait_s": 0.05, "max_wait_s": 1.0},
    )

    with Client(config, timing=Timing(sleep=sleep, jitter=lambda: 1.0)) as client:
        list(client.map(requests_of(1)))

    assert waits_s == [0.05, 0.1]


@pytest.mark.parametrize("allowed_tries", [1, 2, 3])
def test_ii_allowed_tries_is_the_number_of_calls(
    serve, config_for, requests_of, allowed_tries
):
    arrivals, plan = counted(*NO)
    retry = {"allowed_tries": allowed_tries}

    with Client(config_for(serve(plan), retry=retry)) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, TriesExhaustedError)
    assert len(arrivals) == failure.tries == allowed_tries


def test_iii_one_exhausted_request_does_not_end_retries_for_the_job(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().on(1, 2, 3, 5).refuse(*NO))

    with Client(config_for(server, retry={"allowed_tries": 2})) as client:
        (first,) = client.map(requests_of(1))
        later = [next(client.map([each])) for each in requests_of(2)]

    assert isinstance(first.error, TriesExhaustedError)
    assert_whole(later, 2)
    assert [outcome.tries for outcome in later] == [2, 2]


def test_iv_another_server_that_cannot_be_used_leaves_no_event_hanging(
    serve, config_for, requests_of, free_address
):
    """Neither one that is not there, nor one whose address cannot be resolved."""
    server = serve(FaultPlan().on().refuse(*NO))
    config = config_for(server, free_address, "grpc://no-such-host.invalid:8001")

    with Client(config) as client:
        failures = list(client.map(requests_of(5)))

    assert len(failures) == 5
    assert all(isinstance(each.error, Exception) for each in failures)


def test_v_a_mistake_of_the_caller_is_not_repeated(serve, config_for, requests_of):
    text = "[request id: 0] unexpected shape for input 'FEATURES' for model 'label'"
    arrivals, plan = counted("INVALID_ARGUMENT", text)
    servers = [serve(plan), serve(plan)]

    with Client(config_for(*servers, retry={"allowed_tries": 7})) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, RejectedRequestError)
    assert failure.tries == len(arrivals) == 1
    assert client.statistics().tries == {"INVALID_ARGUMENT": 1}


def test_when_all_servers_fail_no_more_calls_are_made_and_the_error_names_each(
    serve, config_for, requests_of
):
    servers = [serve(down(number)) for number in range(3)]

    with Client(config_for(*servers, retry={"patience_s": 0.0})) as client:
        outcomes = list(client.map(requests_of(300)))
        n_calls = sum(client.statistics().tries.values())

    assert all(isinstance(outcome.error, GivenUpError) for outcome in outcomes)
    assert n_calls < 150
    error = outcomes[-1].error
    assert isinstance(error, NoServerError)
    assert set(error.last_errors) == {server.url for server in servers}
    for number, server in enumerate(servers):
        assert f"out of order, number {number}" in str(error.last_errors[server.url])
        assert server.url in str(error)


def test_the_patience_is_for_an_outage_and_not_for_each_request(
    serve, config_for, requests_of
):
    with Client(config_for(serve(down(0)), retry={"patience_s": 0.2})) as client:
        outcomes = list(client.map(requests_of(100)))

    assert isinstance(outcomes[-1].error, NoServerError)


def test_a_server_that_comes_back_within_the_patience_is_used(
    serve, config_for, requests_of, assert_whole, client_messages
):
    class States(Observer):
        def server_changed(self, event):
            states.append(event.state)

    states = []
    plan = FaultPlan().on(range(1, 8)).refuse("UNAVAILABLE", "out of order")
    server = serve(plan)
    config = config_for(server, retry={"allowed_tries": 8})

    with Client(config, observers=[States()]) as client:
        assert_whole(list(client.map(requests_of(50))), 50)

    assert states[:2] == ["open", "half_open"]
    assert states[-1] == "healthy"
    first = client_messages()[0]
    assert f"server {server.url} is left alone for 0.0" in first
    assert " s after 3 failures: failed the call: UNAVAILABLE" in first


@pytest.mark.parametrize("allowed_tries", [1, 2, 5])
def test_the_budget_and_not_only_the_tries_bounds_a_storm(
    serve, config_for, requests_of, allowed_tries
):
    """Of 200 requests to a server that only fails, few are repeated at once."""
    arrivals, plan = counted(*NO)
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
