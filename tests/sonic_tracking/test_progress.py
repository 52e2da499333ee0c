"""Progress: plain lines where there is no terminal, a bar where there is one."""

import io

import pytest

from sonic_tracking.progress import activity, progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_come_every_few_seconds_with_rate_and_time_left():
    seconds = iter([0.0, 1.0, 6.0, 7.0, 10.0])
    stream = io.StringIO()

    with progress_bar(
        "track", 100, unit="events", stream=stream, clock=lambda: next(seconds)
    ) as report:
        for done in (10, 60, 70):
            report(done)

    assert stream.getvalue().splitlines() == [
        "track: 60 of 100 events, 6.0 s, 10 events/s, 4 s left",
        "track: 70 of 100 events, 10.0 s, 7 events/s",
    ]


def test_note_is_shown():
    stream = io.StringIO()

    with progress_bar(
        "gnn", 2, unit="steps", stream=stream, clock=lambda: 0.0
    ) as report:
        report(2, "loss 0.1")

    assert stream.getvalue() == "gnn: 2 of 2 steps, 0.0 s, loss 0.1\n"


def test_failed_work_is_not_reported_as_done():
    stream = io.StringIO()

    with (
        pytest.raises(ZeroDivisionError),
        progress_bar("track", 1, unit="events", stream=stream),
    ):
        _ = 1 / 0

    assert stream.getvalue() == ""


def test_terminal_gets_a_bar():
    stream = Terminal()

    with progress_bar("track", 4, unit="events", stream=stream) as report:
        report(4)

    assert "track" in stream.getvalue()
    assert "4/4" in stream.getvalue()


def test_an_activity_is_shown_on_a_terminal_alone():
    terminal, file = Terminal(), io.StringIO()

    for stream in (terminal, file):
        with activity("prepare the networks", stream=stream):
            pass

    assert "prepare the networks" in terminal.getvalue()
    assert not file.getvalue()
