"""The window is full while the consumer is slow: the reader waits, memory is flat."""

import tracemalloc

import numpy as np

from sonic_client import Answer, Client, Request, WindowConfig

WINDOW = 4
N_EVENTS, N_ROWS = 200, 20_000  # 240 kB an event


def test_the_reader_is_never_further_ahead_than_the_window(serve, config_for):
    n_read = 0

    def events():
        nonlocal n_read
        for number in range(N_EVENTS):
            n_read += 1
            yield Request(number, {"FEATURES": np.zeros((N_ROWS, 3), np.float32)})

    config = config_for(serve(), window=WindowConfig(max_requests=WINDOW))
    leads, peaks = [], []
    tracemalloc.start()
    try:
        with Client(config) as client:
            for n_done, outcome in enumerate(client.map(events()), start=1):
                assert isinstance(outcome, Answer)
                leads.append(n_read - n_done)
                if n_done in (N_EVENTS // 2, N_EVENTS):
                    peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()

    # In flight and landed together are twice the window, and one waits for room.
    assert max(leads) <= 2 * WINDOW + 1
    one_event = N_ROWS * 3 * 4
    assert peaks[1] - peaks[0] < 4 * WINDOW * one_event
    assert peaks[1] < N_EVENTS * one_event / 2
