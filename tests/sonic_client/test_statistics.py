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
from sonic_client.observer import EventsFinished, MessageAnswered, TryEnded
from sonic_client.statistics import StatisticsRecorder

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
