"""The caller's own errors reach the caller, with their traceback."""

import traceback

import pytest

from sonic_client import Answer, Client
from sonic_client.report.observer import Observer


def fails_at(number, requests):
    for request in requests:
        if request.request_id == number:
            raise ZeroDivisionError("in the reader")
        yield request


def use_wrongly(outcomes):
    for outcome in outcomes:
        outcome.outputs["NO SUCH OUTPUT"]


def test_an_error_of_the_reader_comes_through_and_leaves_the_client_usable(
    serve, config_for, requests_of
):
    with Client(config_for(serve())) as client:
        with pytest.raises(ZeroDivisionError, match="in the reader") as caught:
            list(client.map(fails_at(5, requests_of(10))))
        outcomes = list(client.map(requests_of(3)))

    frames = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert frames[-1] == "fails_at"
    assert all(isinstance(outcome, Answer) for outcome in outcomes)


def test_an_error_of_the_consumer_comes_through_and_leaves_the_client_usable(
    serve, config_for, requests_of
):
    with Client(config_for(serve())) as client:
        with pytest.raises(KeyError):
            use_wrongly(client.map(requests_of(10)))
        outcomes = list(client.map(requests_of(3)))

    assert [outcome.request_id for outcome in outcomes] == [0, 1, 2]


def test_an_observer_that_raises_ends_no_job(serve, config_for, requests_of, caplog):
    class Bad(Observer):
        def message_answered(self, event):
            raise ZeroDivisionError("in the observer")

    with Client(config_for(serve()), observers=[Bad()]) as client:
        outcomes = list(client.map(requests_of(10)))

    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert caplog.text.count("ZeroDivisionError: in the observer") == 1
