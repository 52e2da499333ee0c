"""Accepts and never answers: given up at our limit, and another server is asked."""

import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    DeadlineExceededError,
    Failure,
    ServerConfig,
    ServerUnreachableError,
)


def test_a_black_hole_at_start_is_given_up_in_the_set_time(config_for, black_hole):
    with pytest.raises(ServerUnreachableError, match=black_hole):
        Client(config_for(black_hole, startup_timeout_s=0.2)).__enter__()


def test_a_black_hole_at_start_does_not_keep_others_waiting(
    serve, config_for, requests_of, assert_whole, black_hole
):
    config = config_for(black_hole, serve(), startup_timeout_s=60.0)

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(3))), 3)


def preferred(server):
    return ServerConfig(url=server.url, preferred=True)


def test_a_try_has_its_own_limit_and_then_another_server_is_asked(
    serve, config_for, requests_of, assert_whole
):
    hanging, sound = serve(FaultPlan().on().hang()), serve()
    # A machine that is busy may need longer than the limit at the sound one, too.
    retry = {"try_timeout_s": 0.2, "allowed_tries": 100}
    config = config_for(preferred(hanging), sound, retry=retry)

    with Client(config) as client:
        outcomes = list(client.map(requests_of(5)))
        tries = client.statistics().tries

    assert_whole(outcomes, 5)
    assert {outcome.server for outcome in outcomes} == {sound.url}
    assert tries["DEADLINE_EXCEEDED"] >= 1
    assert tries["OK"] >= 5


def test_without_a_limit_a_try_leaves_half_of_the_time_to_others(
    serve, config_for, requests_of, assert_whole
):
    hanging, sound = serve(FaultPlan().on().hang()), serve()

    config = config_for(preferred(hanging), sound, deadline_s=4.0)

    with Client(config) as client:
        outcomes = list(client.map(requests_of(1)))

    assert_whole(outcomes, 1)
    assert outcomes[0].server == sound.url


def test_alone_it_ends_the_request_at_the_deadline(serve, config_for, requests_of):
    hanging = serve(FaultPlan().on().hang())

    with Client(config_for(hanging, deadline_s=0.2)) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure, Failure)
    assert isinstance(failure.error, DeadlineExceededError)
