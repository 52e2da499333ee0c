"""Deadline exceeded: elsewhere first, within the budget; a late reply is discarded."""

import threading

from mock_server import FaultPlan
from sonic_client import Client, DeadlineExceededError


def test_another_server_is_asked_before_the_slow_one_is_again(
    serve, config_for, requests_of, assert_whole
):
    slow, fast = serve(FaultPlan().on().delay(5.0)), serve()
    config = config_for(
        slow, fast, retry={"try_timeout_s": 0.1, "same_server_retries": 5}
    )

    with Client(config) as client:
        outcomes = list(client.map(requests_of(1)))

    assert_whole(outcomes, 1)
    assert outcomes[0].tries <= 2
    assert outcomes[0].server == fast.url


def test_a_reply_that_comes_too_late_answers_nothing(
    serve, config_for, requests_of, assert_whole
):
    """The server computes on; whoever it was for has another answer by then."""
    first_may_go_on, n_arrivals = threading.Event(), 0

    def hold_the_first(arrival):
        nonlocal n_arrivals
        n_arrivals += 1
        if n_arrivals == 1:
            first_may_go_on.wait(10.0)

    server = serve(FaultPlan().on().call(hold_the_first))

    with Client(config_for(server, retry={"try_timeout_s": 0.2})) as client:
        outcomes = list(client.map(requests_of(1)))
        first_may_go_on.set()
        outcomes += client.map(requests_of(5)[1:])

    assert_whole(outcomes, 5)
    assert client.statistics().events == 5


def test_the_deadline_bounds_all_tries_together(serve, config_for, requests_of):
    slow = serve(FaultPlan().on().hang())
    config = config_for(
        slow, deadline_s=0.35, retry={"try_timeout_s": 0.1, "allowed_tries": 99}
    )

    with Client(config) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, DeadlineExceededError)
    assert failure.tries <= 4
