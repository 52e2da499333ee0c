"""The caller's own code: it raises, or it is slow."""

import traceback
import tracemalloc

import numpy as np
import pytest

from sonic_client import Answer, Client, Observer, Request, WindowConfig


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


def test_a_slow_consumer_stops_the_reader_and_memory_stays_flat(serve, config_for):
    window, n_events, n_rows = 4, 100, 20_000  # 240 kB an event
    n_read = 0

    def events():
        nonlocal n_read
        for number in range(n_events):
            n_read += 1
            yield Request(number, {"FEATURES": np.zeros((n_rows, 3), np.float32)})

    config = config_for(serve(), window=WindowConfig(max_requests=window))
    leads, peaks = [], []
    tracemalloc.start()
    try:
        with Client(config) as client:
            for n_done, outcome in enumerate(client.map(events()), start=1):
                assert isinstance(outcome, Answer)
                leads.append(n_read - n_done)
                if n_done in (n_events // 2, n_events):
                    peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()

    # In flight and finished together are twice the window, and one waits.
    assert max(leads) <= 2 * window + 1
    one_event = n_rows * 3 * 4
    assert peaks[1] - peaks[0] < 4 * window * one_event
