"""Saturated at discovery: the next server, or a wait with backoff, never a hot loop."""

from dataclasses import replace

import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    HealthConfig,
    NoServerError,
    ServerOverloadedError,
)


def test_another_server_is_used(serve, config_for, requests_of, assert_whole):
    saturated, free = serve(FaultPlan().refuse_admission()), serve()

    with Client(config_for(saturated, free)) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert {outcome.server for outcome in outcomes} == {free.url}


def test_a_saturated_server_is_waited_for(serve, config_for, requests_of, assert_whole):
    server = serve(FaultPlan().refuse_admission(1, 2, 3))

    with Client(config_for(server, startup_timeout_s=0.01)) as client:
        assert_whole(list(client.map(requests_of(5))), 5)


def test_it_is_asked_with_pauses_that_grow(serve, config_for):
    times_asked = []
    plan = FaultPlan().on(rpc="RepositoryIndex").call(times_asked.append)
    server = serve(plan.refuse_admission())
    config = config_for(server, model_ready_timeout_s=0.6)
    health = HealthConfig(first_pause_s=0.1, max_pause_s=10.0)

    with pytest.raises(ServerOverloadedError, match="saturated"):
        Client(replace(config, health=health)).__enter__()

    # Pauses of at least 0.05, 0.1, 0.2 and 0.4 s.
    assert 1 <= len(times_asked) <= 5


def test_the_error_names_all_that_are_saturated(serve, config_for):
    servers = [serve(FaultPlan().refuse_admission()) for _ in range(2)]

    with pytest.raises(NoServerError) as caught:
        Client(config_for(*servers, model_ready_timeout_s=0.2)).__enter__()
    for server in servers:
        assert server.url in str(caught.value)


def test_a_server_that_comes_back_is_asked_for_admission_first(
    serve, config_for, requests_of, assert_whole
):
    asked = []
    plan = FaultPlan().on(rpc="RepositoryIndex").call(lambda a: asked.append(a.number))
    server = serve(plan.on(3, 4, 5).drop_connection())
    config = config_for(server)

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(20))), 20)

    assert len(asked) >= 2
