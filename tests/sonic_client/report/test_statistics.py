import functools
import json
import math
import pickle
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import (
    ClientStatistics,
    JobSummary,
    LatencyHistogram,
    ServerCounters,
    ServerInterval,
)
from sonic_client.report import (
    EventsFinished,
    MessageAnswered,
    NonFiniteFound,
    ServerChanged,
    TryEnded,
)
from sonic_client.report.statistics import MAX_LISTED_IDS, StatisticsRecorder

SERVER = "grpc://h:1"


def histogram(durations_s):
    recorder = StatisticsRecorder()
    for duration_s in durations_s:
        recorder.message_answered(
            MessageAnswered(
                message=1,
                server=SERVER,
                latency_s=duration_s,
                bytes_sent=0,
                bytes_received=0,
                event_ids=(0,),
            )
        )
    return recorder.snapshot().latency


durations = st.lists(st.floats(2e-6, 1e4), min_size=1, max_size=50)


@given(durations, st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_are_right_to_one_percent(durations_s, fraction):
    rank = max(1, math.ceil(fraction * len(durations_s)))
    exact_s = sorted(durations_s)[rank - 1]

    assert histogram(durations_s).quantile_s(fraction) == pytest.approx(
        exact_s, rel=0.0101
    )


@given(durations, durations)
def test_adding_histograms_is_filling_one(first, second):
    added, filled = histogram(first) + histogram(second), histogram(first + second)

    assert dict(added.counts) == dict(filled.counts)
    assert (added.min_s, added.max_s) == (filled.min_s, filled.max_s)
    assert added.mean_s == pytest.approx(statistics.fmean(first + second))


def test_an_empty_histogram_has_no_quantiles():
    assert math.isnan(LatencyHistogram().quantile_s(0.5))
    assert math.isnan(LatencyHistogram().mean_s)


def test_a_snapshot_does_not_change_afterwards():
    recorder = StatisticsRecorder()
    ok = TryEnded(
        server=SERVER,
        status="OK",
        duration_s=0.1,
        message=1,
        request_id="1",
        number=1,
    )
    recorder.try_ended(ok)
    before = recorder.snapshot()

    recorder.try_ended(ok)
    recorder.events_finished(EventsFinished(events=1, points=5))

    assert (before.tries, before.events) == ({"OK": 1}, 0)
    assert recorder.snapshot().tries == {"OK": 2}


def test_counters_of_a_server_that_was_restarted_begin_anew():
    first = ServerCounters(requests=100, queue_s=9.0)
    last = ServerCounters(requests=3, queue_s=0.5)

    assert (last - first) == last


def test_overlapping_intervals_of_one_server_are_not_summed():
    def counters(requests):
        return ServerCounters(requests=requests, compute_infer_s=2.0 * requests)

    early = ServerInterval(first=counters(10), last=counters(30))
    late = ServerInterval(first=counters(20), last=counters(50))

    assert (early | late).spent == counters(40)
    assert (late | early).spent == counters(40)


def summary_of(*, start_s, end_s, events, server=SERVER):
    interval = ServerInterval(
        first=ServerCounters(requests=10),
        last=ServerCounters(
            requests=10 + events, executions=events, queue_s=0.1, compute_infer_s=0.2
        ),
    )
    client = ClientStatistics(
        events=events,
        failed_events=1,
        requests=events - 1,
        points=100 * events,
        bytes_sent=1200 * events,
        bytes_received=800 * events,
        tries={"OK": events - 1, "UNAVAILABLE": 1},
        servers={server: events - 1},
        latency=histogram([0.010] * (events - 1)),
    )
    return JobSummary(
        models=("exatrkx",),
        started_at_s=start_s,
        ended_at_s=end_s,
        client=client,
        servers={server: interval},
    )


def test_summaries_of_parallel_workers_add_up():
    first = summary_of(start_s=100.0, end_s=110.0, events=5)
    second = summary_of(start_s=105.0, end_s=120.0, events=4, server="grpc://g:2")

    total = first + pickle.loads(pickle.dumps(second))

    assert total.models == ("exatrkx",)
    assert total.elapsed_s == 20.0
    assert total.events_per_s == 9 / 20.0
    assert (total.client.events, total.client.failed_events) == (9, 2)
    assert (total.client.points, total.client.requests) == (900, 7)
    assert total.client.tries == {"OK": 7, "UNAVAILABLE": 2}
    assert total.shares() == {SERVER: 4 / 7, "grpc://g:2": 3 / 7}
    assert total.client.latency.n_entries == 7
    assert total.servers[SERVER].spent.requests == 5


def test_summary_is_valid_json_and_labels_what_the_server_counted():
    summary = summary_of(start_s=100.0, end_s=110.0, events=5)

    values = json.loads(json.dumps(summary.to_dict(), allow_nan=False))

    assert values["events"] == 5
    assert values["latency_s"]["p50"] == pytest.approx(0.010)
    assert values["tries"] == {"OK": 4, "UNAVAILABLE": 1}
    assert values["server_shares"] == {SERVER: 1.0}
    assert values["servers_all_clients"][SERVER]["requests"] == 5
    assert values["servers_all_clients"][SERVER]["queue_s"] == 0.1


def test_summary_of_nothing_is_valid_json_too():
    summary = JobSummary(
        models=("m",), started_at_s=1.0, ended_at_s=1.0, client=ClientStatistics()
    )

    assert summary.events_per_s == 0.0
    assert json.dumps(summary.to_dict(), allow_nan=False)
    assert ("tries", "none") in summary.rows()


def test_summary_rows_are_text_for_a_table():
    rows = dict(summary_of(start_s=100.0, end_s=110.0, events=5).rows())

    assert rows["events"] == "5 (1 failed)"
    assert rows["elapsed"] == "10.00 s (0.5 events/s)"
    assert rows["sent"] == "6 kB"
    assert rows["tries"] == "4 OK, 1 UNAVAILABLE"
    assert rows["latency p50 / p90 / p99"] == "0.01 / 0.01 / 0.01 s"
    assert rows[f"share of {SERVER}"] == "100.0 %"
    assert rows[f"{SERVER}, all clients"] == "5 requests in 5 executions, 0 failed"
    assert (
        rows["mean queue + compute input / infer / output"] == "0.02 / 0 / 0.04 / 0 s"
    )


# Seconds in 1/1024, which add up exactly, so that sums can be compared.
exact_s = st.integers(1, 2**20).map(lambda n: n / 1024)
ids = st.one_of(st.integers(0, 500), st.text("abc", max_size=3))
names = st.sampled_from(["grpc://h:1", "grpc://g:2"])
statuses = st.sampled_from(["OK", "UNAVAILABLE", "LOCALLY_CANCELLED"])
happenings = st.one_of(
    st.builds(
        TryEnded,
        server=names,
        status=statuses,
        duration_s=exact_s,
        message=st.just(1),
        request_id=st.just("1"),
        number=st.just(1),
    ),
    st.builds(
        MessageAnswered,
        message=st.just(1),
        server=names,
        latency_s=exact_s,
        bytes_sent=st.integers(0, 999),
        bytes_received=st.integers(0, 999),
        event_ids=st.lists(ids, max_size=9).map(tuple),
        is_fallback=st.booleans(),
    ),
    st.builds(
        EventsFinished,
        events=st.integers(0, 9),
        failed_ids=st.lists(ids, max_size=90).map(tuple),
        points=st.integers(0, 999),
        cached_events=st.integers(0, 9),
    ),
    st.builds(
        NonFiniteFound,
        output=st.just("SCORES"),
        n_values=st.integers(1, 9),
        server=names,
    ),
    st.builds(
        ServerChanged,
        server=names,
        state=st.sampled_from(["open", "healthy"]),
        reason=st.just(""),
    ),
)


def recorded(events):
    recorder = StatisticsRecorder()
    tell = {
        TryEnded: recorder.try_ended,
        MessageAnswered: recorder.message_answered,
        EventsFinished: recorder.events_finished,
        NonFiniteFound: recorder.nonfinite_found,
        ServerChanged: recorder.server_changed,
    }
    for event in events:
        tell[type(event)](event)
    return recorder.snapshot()


counters = st.builds(
    ServerCounters,
    requests=st.integers(0, 99),
    executions=st.integers(0, 99),
    queue_s=exact_s,
)
summaries = st.builds(
    JobSummary,
    models=st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(
        lambda models: tuple(sorted(models))
    ),
    started_at_s=exact_s,
    ended_at_s=exact_s,
    client=st.lists(happenings, max_size=8).map(recorded),
    servers=st.dictionaries(
        names, st.builds(ServerInterval, first=counters, last=counters)
    ),
)


@given(summaries, summaries, summaries)
def test_summaries_add_up_in_any_order_and_grouping(a, b, c):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)


@given(st.lists(st.lists(happenings, max_size=5), min_size=1, max_size=4))
def test_the_sum_over_workers_is_what_one_worker_would_have_counted(shares):
    alone = recorded([event for share in shares for event in share])

    together = functools.reduce(lambda a, b: a + b, map(recorded, shares))

    assert together == alone


@given(summaries)
def test_a_summary_survives_json(summary):
    text = json.dumps(summary.to_dict(), allow_nan=False)

    assert JobSummary.from_dict(json.loads(text)) == summary


def test_failed_ids_are_listed_up_to_a_bound():
    recorder = StatisticsRecorder()
    for start in range(0, 5000, 10):
        recorder.events_finished(
            EventsFinished(events=10, failed_ids=tuple(range(start, start + 10)))
        )

    snapshot = recorder.snapshot()

    assert snapshot.failed_events == 5000
    assert snapshot.failed_ids == tuple(range(MAX_LISTED_IDS))


def test_overhead_is_what_the_servers_did_not_spend():
    summary = summary_of(start_s=100.0, end_s=110.0, events=5)
    client = ClientStatistics(tries={"OK": 4}, calls_s=4 * 0.1)
    summary = JobSummary(
        models=("m",),
        started_at_s=0.0,
        ended_at_s=1.0,
        client=client,
        servers=summary.servers,
    )

    split = summary.split()

    assert split.queue_s == pytest.approx(0.1 / 5)
    assert split.compute_infer_s == pytest.approx(0.2 / 5)
    assert split.overhead_s == pytest.approx(0.1 - 0.3 / 5)


def test_what_went_wrong_is_loud_in_the_table():
    client = recorded(
        [
            MessageAnswered(
                message=1,
                server="grpc://local:9",
                latency_s=0.01,
                bytes_sent=1,
                bytes_received=1,
                event_ids=(7, 8),
                is_fallback=True,
            ),
            EventsFinished(events=15, failed_ids=tuple(range(12))),
            NonFiniteFound(output="SCORES", n_values=3, server=SERVER),
            ServerChanged(server=SERVER, state="open", reason="5 of 5 calls failed"),
            ServerChanged(server=SERVER, state="healthy", reason="it answered"),
        ]
    )
    summary = JobSummary(models=("m",), started_at_s=0.0, ended_at_s=1.0, client=client)

    rows = dict(summary.rows())

    assert rows["FALLBACK"] == "100.0 % of the requests"
    assert rows["events of the fallback"] == "7, 8"
    assert rows["FAILED events"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert rows["NaN or infinite in SCORES"] == "3 values"
    assert rows[f"{SERVER} was left alone"] == "once"
    assert not any("healthy" in label for label in rows)


def test_a_summary_prints_as_a_table():
    summary = summary_of(start_s=100.0, end_s=110.0, events=5)

    lines = str(summary).splitlines()

    assert lines[0].split() == ["model", "exatrkx"]
    starts = {
        line.rindex("  " + value)
        for line, (_, value) in zip(lines, summary.rows(), strict=True)
    }
    assert len(starts) == 1
