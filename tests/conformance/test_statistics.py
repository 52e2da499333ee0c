"""Counters of the statistics extension and of the metrics, as differences.

Other checks use the same server: what is compared is before and after.
"""

import time

import numpy as np
import pytest
from google.protobuf import json_format
from tritonclient.grpc import service_pb2

ROW = np.zeros((1, 16), np.int32)
GOOD = {"INPUT0": ROW, "INPUT1": ROW}
LABELS = '{model="%s",version="1"}'
PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


def how(mode):
    return {"HOW": np.array([mode.encode()], dtype=object)}


def counts(row):
    stats = row.inference_stats
    return {
        "inference": row.inference_count,
        "execution": row.execution_count,
        "success": stats.success.count,
        "fail": stats.fail.count,
        **{part: getattr(stats, part).count for part in PARTS},
        "cache": stats.cache_hit.count + stats.cache_miss.count,
    }


@pytest.fixture
def statistics(stub):
    def read(name, version=""):
        request = service_pb2.ModelStatisticsRequest(name=name, version=version)
        return list(stub.ModelStatistics(request).model_stats)

    return read


@pytest.fixture
def counted(statistics, eventually):
    """Differences that some calls make; those not named are 0."""

    def run(model, call, **expected):
        (before,) = statistics(model)
        call()
        nothing = dict.fromkeys(counts(before), 0)

        def difference():
            (after,) = statistics(model)
            old = counts(before)
            return {key: value - old[key] for key, value in counts(after).items()}

        # Triton counts an answer after it has sent it.
        eventually(lambda: sum(difference().values()) >= sum(expected.values()))
        assert difference() == {**nothing, **expected}

    return run


ONCE = dict.fromkeys(("success", *PARTS), 1)


def test_success_counts_everywhere(counted, ask):
    counted("add_sub", lambda: ask("add_sub", GOOD), inference=1, execution=1, **ONCE)


def test_inferences_are_rows(counted, ask):
    rows = np.zeros((5, 16), np.int32)

    counted(
        "add_sub",
        lambda: ask("add_sub", {"INPUT0": rows, "INPUT1": rows}),
        inference=5,
        execution=1,
        **ONCE,
    )


def test_error_of_the_model_counts_as_success(counted, ask):
    counted(
        "misbehaving",
        lambda: ask("misbehaving", how("plain_error")),
        inference=1,
        execution=1,
        **ONCE,
    )


@pytest.mark.parametrize("mode", ["exception:x", "no_response", "number"])
def test_exception_counts_as_failure_and_execution(counted, ask, mode):
    counted("misbehaving", lambda: ask("misbehaving", how(mode)), execution=1, fail=1)


def test_refused_request_counts_nowhere(counted, ask):
    counted("add_sub", lambda: ask("add_sub", {"INPUT0": ROW}))


def test_decoupled_request_counts_once(counted, stub, grpc_ask):
    request = grpc_ask.request("decoupled", {"VALUES": np.array([1, 2, 3], np.int32)})

    counted(
        "decoupled",
        lambda: list(stub.ModelStreamInfer(iter([request]), timeout=20)),
        inference=1,
        execution=1,
        **ONCE,
    )


def test_times_grow_and_add_up(statistics, ask):
    (before,) = statistics("add_sub")
    ask("add_sub", GOOD)
    (after,) = statistics("add_sub")

    old, new = before.inference_stats, after.inference_stats
    grown = {part: getattr(new, part).ns - getattr(old, part).ns for part in PARTS}
    assert all(grown[part] > 0 for part in PARTS)
    assert new.success.ns - old.success.ns >= sum(grown.values())
    assert abs(after.last_inference / 1000 - time.time()) < 60


def test_batches_are_counted_by_their_size(statistics, ask):
    def by_size():
        (row,) = statistics("add_sub")
        return {b.batch_size: b.compute_infer.count for b in row.batch_stats}

    before = by_size()
    rows = np.zeros((7, 16), np.int32)
    ask("add_sub", {"INPUT0": rows, "INPUT1": rows})

    after = by_size()
    assert after[7] == before.get(7, 0) + 1
    assert list(after) == sorted(after)


def test_statistics_of_one_version(statistics):
    (row,) = statistics("versions", "2")

    assert (row.name, row.version) == ("versions", "2")


def test_statistics_of_every_version(statistics):
    assert [row.version for row in statistics("versions")] == ["1", "2", "3"]


def test_statistics_of_every_model(statistics):
    rows = {(row.name, row.version) for row in statistics("")}

    assert {("add_sub", "1"), ("versions", "1"), ("versions", "3")} < rows
    assert "broken" not in {name for name, _ in rows}


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("nowhere", "", "nowhere not available"),
        ("broken", "", "broken not available"),
        ("add_sub", "9", "version not available add_sub"),
    ],
)
def test_statistics_of_an_unknown_model(
    stub, rpc_error, refused, http_call, name, version, words
):
    request = service_pb2.ModelStatisticsRequest(name=name, version=version)
    path = f"/v2/models/{name}" + (f"/versions/{version}" if version else "")

    found = rpc_error(stub.ModelStatistics, request)
    assert found == refused("INVALID_ARGUMENT", words)
    assert http_call("GET", f"{path}/stats").error == refused(400, words)


def test_statistics_over_http_are_the_same(http_call, statistics, grpc_ask):
    grpc_ask("add_sub", GOOD)

    answer = http_call("GET", "/v2/models/add_sub/stats")

    assert answer.headers["content-type"] == "application/json"
    (row,) = answer.json["model_stats"]
    assert row["inference_stats"].keys() == {
        *("success", "fail", *PARTS, "cache_hit", "cache_miss")
    }
    assert row["batch_stats"][0].keys() == {"batch_size", *PARTS} - {"queue"}
    assert (
        json_format.ParseDict(row, service_pb2.ModelStatistics())
        == (statistics("add_sub")[0])
    )


def test_statistics_of_every_model_over_http(http_call):
    rows = http_call("GET", "/v2/models/stats").json["model_stats"]

    assert {"add_sub", "versions", "twice_sum"} < {row["name"] for row in rows}


COUNTERS = [
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
]


def test_metrics_are_prometheus_text(server, call_at):
    answer = call_at(server.metrics, "GET", "/metrics")

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    text = answer.body.decode()
    for name in COUNTERS:
        assert f"# HELP {name} " in text
        assert f"# TYPE {name} counter\n{name}{{" in text
    assert "# TYPE nv_inference_pending_request_count gauge\n" in text


def test_counters_have_a_sample_for_each_model_from_the_start(metrics):
    samples = metrics()

    for name in COUNTERS:
        if not name.endswith("failure"):
            assert name + LABELS % "scores" in samples
    for reason in ("OTHER", "BACKEND", "CANCELED", "REJECTED"):
        labels = f'{{model="scores",reason="{reason}",version="1"}}'
        assert samples[f"nv_inference_request_failure{labels}"] == 0


@pytest.fixture
def moved(metrics, eventually):
    """Metrics of a model that some calls move by a whole number."""

    def run(model, call, expected):
        def counters():
            return {
                key.partition("{")[0].removeprefix("nv_inference_")
                + key.partition('reason="')[2].partition('"')[0]: value
                for key, value in metrics().items()
                if f'model="{model}"' in key and "_us{" not in key
            }

        before = counters()
        call()

        def difference():
            after = counters()
            return {key: after[key] - before[key] for key in after}

        eventually(lambda: sum(difference().values()) >= sum(expected.values()))
        assert {k: v for k, v in difference().items() if v} == expected

    return run


def test_success_moves_the_metrics(moved, ask):
    rows = np.zeros((3, 16), np.int32)

    moved(
        "add_sub",
        lambda: ask("add_sub", {"INPUT0": rows, "INPUT1": rows}),
        {"request_success": 1, "count": 3, "exec_count": 1},
    )


def test_exception_moves_the_metrics(moved, ask):
    moved(
        "misbehaving",
        lambda: ask("misbehaving", how("exception:x")),
        {"exec_count": 1, "request_failureBACKEND": 1},
    )


def test_error_of_the_model_moves_the_metrics_as_success(moved, ask):
    moved(
        "misbehaving",
        lambda: ask("misbehaving", how("plain_error")),
        {"request_success": 1, "count": 1, "exec_count": 1},
    )


def test_refused_request_moves_nothing(moved, ask):
    moved("add_sub", lambda: ask("add_sub", {}), {})


def test_request_that_waited_too_long_is_rejected(
    moved, counted, stub, grpc_ask, tmp_path, eventually
):
    gate = tmp_path / "gate"

    def send(file, **fields):
        array = np.array([[str(file)]], dtype=object)
        request = grpc_ask.request("queue", {"FILE": array}, **fields)
        return stub.ModelInfer.future(request, timeout=20)

    def wait_too_long():
        running = send(gate)
        eventually(gate.with_suffix(".begun").exists)
        late = send("", parameters={"timeout": 1})
        after = send("")
        gate.touch()
        running.result()
        after.result()
        assert late.exception() is not None

    moved(
        "queue",
        wait_too_long,
        {
            "request_success": 2,
            "count": 2,
            "exec_count": 2,
            "request_failureREJECTED": 1,
        },
    )


def test_request_cancelled_while_it_waits(
    moved, metrics, stub, grpc_ask, tmp_path, eventually
):
    pending = "nv_inference_pending_request_count" + LABELS % "priorities"

    def send(model, file, shape):
        array = np.array([str(file)], dtype=object).reshape(shape)
        request = grpc_ask.request(model, {"FILE": array})
        return stub.ModelInfer.future(request, timeout=20)

    def cancel():
        gate, probe = tmp_path / "gate", tmp_path / "probe"
        running = send("priorities", gate, (1, 1))
        eventually(gate.with_suffix(".begun").exists)
        ahead, cancelled = (send("priorities", "", (1, 1)) for _ in range(2))
        eventually(lambda: metrics()[pending] == 2)
        cancelled.cancel()
        # What comes after it on the connection has arrived: so has the cancellation.
        after = send("gate", probe, (1,))
        eventually(probe.with_suffix(".begun").exists)
        after.cancel()
        eventually(probe.with_suffix(".cancelled").exists)
        gate.touch()
        for call in (running, ahead, send("priorities", "", (1, 1))):
            call.result()

    moved(
        "priorities",
        cancel,
        {
            "request_success": 3,
            "count": 3,
            "exec_count": 3,
            "request_failureCANCELED": 1,
        },
    )
