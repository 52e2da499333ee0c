"""Five defects of the retry chain of cms-sw/cmssw#51643 that ours must not have."""

import time

import pytest

from mock_server import FaultPlan
from sonic_client import Client, RejectedRequestError, TriesExhaustedError
from sonic_client.retry import Timing

NO = ("UNAVAILABLE", "not now")


def test_i_there_is_a_delay_between_tries(serve, config_for, requests_of):
    """Each is drawn between zero and a bound that doubles; here it is the bound."""
    config = config_for(
        serve(FaultPlan().on(1, 2).refuse(*NO)),
        retry={"first_wait_s": 0.05, "max_wait_s": 1.0},
    )
    started = time.monotonic()

    with Client(config, timing=Timing(jitter=lambda: 1.0)) as client:
        list(client.map(requests_of(1)))

    assert time.monotonic() - started >= 0.05 + 0.1


@pytest.mark.parametrize("allowed_tries", [1, 2, 3])
def test_ii_allowed_tries_is_the_number_of_calls(
    serve, config_for, requests_of, allowed_tries
):
    arrivals = []
    plan = FaultPlan().on().call(arrivals.append).on().refuse("ABORTED", "no")
    retry = {"allowed_tries": allowed_tries}

    with Client(config_for(serve(plan), retry=retry)) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, TriesExhaustedError)
    assert len(arrivals) == failure.tries == allowed_tries


def test_iii_one_exhausted_request_does_not_end_retries_for_the_job(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().on(1, 2, 3, 5).refuse("ABORTED", "no"))

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
    server = serve(FaultPlan().on().refuse("ABORTED", "no"))
    config = config_for(server, free_address, "grpc://no-such-host.invalid:8001")

    with Client(config) as client:
        failures = list(client.map(requests_of(5)))

    assert len(failures) == 5
    assert all(isinstance(each.error, Exception) for each in failures)


def test_v_what_the_client_did_wrong_is_not_repeated(serve, config_for, requests_of):
    arrivals = []
    plan = FaultPlan().on().call(arrivals.append).on().refuse("INVALID_ARGUMENT", "no")

    with Client(config_for(serve(plan))) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, RejectedRequestError)
    assert len(arrivals) == 1
