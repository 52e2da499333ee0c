"""Model missing or not ready: another server, then fatal; loading is waited for."""

from dataclasses import replace

import pytest

from mock_server import FaultPlan
from sonic_client import (
    Client,
    ModelNotFoundError,
    ModelNotReadyError,
    NoServerError,
)


def test_a_server_that_has_the_model_is_used(
    serve, config_for, requests_of, assert_whole
):
    other = serve(models=[])
    having = serve()

    with Client(config_for(other, having)) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert {outcome.server for outcome in outcomes} == {having.url}


def test_a_model_that_the_only_server_lacks_is_fatal_at_once(serve, config_for):
    config = replace(config_for(serve(), startup_timeout_s=60.0), model_name="lable")

    with pytest.raises(ModelNotFoundError, match="'lable' is not found"):
        Client(config).__enter__()


def test_a_model_that_no_server_has_is_fatal_for_all_of_them(serve, config_for):
    config = config_for(serve(models=[]), serve(models=[]), startup_timeout_s=60.0)

    with pytest.raises(NoServerError) as caught:
        Client(config).__enter__()
    assert {type(each) for each in caught.value.last_errors.values()} == {
        ModelNotFoundError
    }


def test_a_model_that_is_being_loaded_is_waited_for(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().start_slowly(seconds=0.5))
    config = config_for(server, startup_timeout_s=0.2, model_ready_timeout_s=10.0)

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(3))), 3)


def test_waiting_for_a_model_ends(serve, config_for):
    server = serve(FaultPlan().start_slowly(seconds=60.0))

    with pytest.raises(ModelNotReadyError, match="not ready"):
        Client(config_for(server, model_ready_timeout_s=0.2)).__enter__()
