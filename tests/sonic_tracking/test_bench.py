"""`sonic bench`: what is measured, and what is made of it; no time is judged."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import ConfigError
from sonic_tracking.bench.served import ModelTimes, gpu_utilisation, stage_seconds
from sonic_tracking.bench.service_report import (
    HEADER,
    Measurement,
    ScanPoint,
    parse_range,
    plan_scan,
    plot_service,
    scan_of,
)

METRICS = """\
# HELP exatrkx_stage_duration_seconds Cumulative time in each stage of the pipeline
# TYPE exatrkx_stage_duration_seconds counter
exatrkx_stage_duration_seconds{model="exatrkx",stage="gnn"} 11.5
exatrkx_stage_duration_seconds{model="exatrkx",stage="filter"} 1.25
exatrkx_stage_duration_seconds{model="exatrkx_batch",stage="gnn"} 7
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="a"} 0.5
nv_gpu_utilization{gpu_uuid="b"} 0.25
"""


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1:4", (1, 2, 3, 4)),
        ("1:16:5", (1, 6, 11, 16)),
        ("4", (4,)),
        ("4,1,2,1", (1, 2, 4)),
    ],
)
def test_ranges_include_both_ends(text, numbers):
    assert parse_range(text, "--concurrency") == numbers


@pytest.mark.parametrize("text", ["", "a", "0:3", "3:1", "1:2:3:4", "1:4:0", "-1"])
def test_other_ranges_are_refused_by_their_option(text):
    with pytest.raises(ConfigError, match="--concurrency"):
        parse_range(text, "--concurrency")


def test_scan_covers_the_papers_figures():
    points = plan_scan(["exatrkx", "direct"], [1, 4], [1, 2])

    assert points == (
        ScanPoint(1, "direct", 1),
        ScanPoint(1, "exatrkx", 1),
        ScanPoint(1, "exatrkx", 4),
        ScanPoint(2, "direct", 2),
        ScanPoint(2, "exatrkx", 4),
    )


numbers = st.lists(st.integers(1, 20), min_size=1, max_size=6, unique=True)


@given(numbers, numbers)
def test_every_number_is_measured_and_none_twice(concurrency, instances):
    points = plan_scan(["exatrkx", "exatrkx_ensemble"], concurrency, instances)

    assert len(points) == len(set(points))
    assert len(points) <= 2 * (len(concurrency) + len(instances))
    for model in ("exatrkx", "exatrkx_ensemble"):
        own = [point for point in points if point.model == model]
        assert {point.concurrency for point in own} == set(concurrency)
        assert {point.instances for point in own} == set(instances)
    # Those of one server are together: it is started once.
    assert [p.instances for p in points] == sorted(p.instances for p in points)


@pytest.mark.parametrize("models", [["exatrk"], ["exatrkx_batch"], []])
def test_model_that_cannot_be_scanned_is_refused(models):
    with pytest.raises(ConfigError, match="--model: expected some of exatrkx"):
        plan_scan(models, [1], [1])


def measured(model, instances, concurrency, *passes_s, **parts):
    return Measurement(
        point=ScanPoint(instances, model, concurrency),
        n_events=10,
        passes_s=passes_s,
        **parts,
    )


def test_rate_is_the_mean_of_the_passes_rates():
    measurement = measured("exatrkx", 1, 1, 1.0, 2.0)

    assert measurement.events_per_s == pytest.approx(7.5)
    assert measurement.spread == pytest.approx(3.5355, abs=1e-4)
    assert measured("exatrkx", 1, 1, 1.0).spread == 0.0


def test_row_has_a_cell_for_each_column_whatever_is_known():
    full = measured(
        "exatrkx", 2, 4, 1.0,
        latency_s={"p50": 0.0123, "p99": 0.5},
        split_s={"overhead": 0.001, "queue": 0.0, "compute_infer": 0.01},
        utilisation={"machine": 0.97},
    )  # fmt: skip

    assert full.row() == (
        "exatrkx", "2", "4", "10.00 ± 0.00", "12.3 ms", "500.0 ms", "1.0 ms",
        "0.0 ms", "10.0 ms", "97%",
    )  # fmt: skip
    assert len(measured("direct", 1, 1, 1.0).row()) == len(HEADER)


def test_axes_hold_the_other_setting_where_it_was_scanned():
    one, many, two = (
        measured("exatrkx", *setting, 1.0) for setting in ((1, 1), (1, 8), (2, 8))
    )
    direct = measured("direct", 1, 1, 1.0)
    scan = [two, direct, many, one]

    assert scan_of(scan, "exatrkx", "concurrency") == [one, many]
    assert scan_of(scan, "exatrkx", "instances") == [many, two]
    assert scan_of(scan, "direct", "instances") == [direct]
    assert scan_of(scan, "exatrkx_ensemble", "instances") == []


@pytest.mark.parametrize("n", [0, 3], ids=["nothing", "a scan"])
def test_scan_becomes_a_picture(tmp_path, n):
    parts = dict.fromkeys(
        ("overhead", "queue", "compute_input", "compute_infer", "compute_output"), 0.1
    )
    scan = [measured("exatrkx", 1, i + 1, 1.0, 1.1, split_s=parts) for i in range(n)]

    plot_service(scan, tmp_path / "scan.png")

    assert (tmp_path / "scan.png").read_bytes().startswith(b"\x89PNG")


def test_stages_of_one_model_are_read_from_the_metrics():
    assert stage_seconds(METRICS, "exatrkx") == {"gnn": 11.5, "filter": 1.25}
    assert stage_seconds("", "exatrkx") == {}


def test_times_of_a_model_are_shared_out_over_its_events():
    before = ModelTimes(stages_s={"embed": 1.0}, queue_s=2.0)
    after = ModelTimes(stages_s={"embed": 3.0, "gnn": 8.0}, queue_s=4.0)

    spent = after.since(before, n_events=4)

    assert spent == ModelTimes(stages_s={"embed": 0.5, "gnn": 2.0}, queue_s=0.5)


def test_gpus_are_averaged():
    assert gpu_utilisation(METRICS) == {"gpu": 0.375}
    assert gpu_utilisation("") == {}


def test_service_is_measured_and_written(sonic, sample, weights, tmp_path):
    result = sonic(
        "bench", "service", "--input", sample / "events.root", "--max-events", 3,
        "--engine", "mock", "--weights", weights, "--concurrency", "1,3",
        "--instances", "1:2", "--model", "exatrkx,exatrkx_ensemble,direct",
        "--passes", 2, "--json", "b.json", "--plot", "b.png",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    scan = json.loads((tmp_path / "b.json").read_text())
    assert scan["events"] == 3
    assert scan["machine"]["threads"] >= 1
    settings = [
        (each["model"], each["instances"], each["concurrency"])
        for each in scan["measurements"]
    ]
    assert sorted(settings) == [
        ("direct", 1, 1), ("direct", 2, 2),
        ("exatrkx", 1, 1), ("exatrkx", 1, 3), ("exatrkx", 2, 3),
        ("exatrkx_ensemble", 1, 1), ("exatrkx_ensemble", 1, 3),
        ("exatrkx_ensemble", 2, 3),
    ]  # fmt: skip
    for each in scan["measurements"]:
        assert len(each["passes_s"]) == 2
        assert each["utilisation"]["machine"] > 0.0
        if each["model"] != "direct":
            assert each["split_s"]["compute_infer"] > 0.0
            assert each["latency_s"]["p50"] > 0.0
        if each["model"] == "exatrkx_ensemble":
            assert set(each["stages_s"]) == {
                "embed", "frnn", "filter", "applyfilter", "gnn", "wcc",
            }  # fmt: skip
    assert (tmp_path / "b.png").exists()
    assert "events/s" in result.stdout


def test_events_are_exported_as_perf_analyzer_reads_them(sonic, sample, tmp_path):
    result = sonic(
        "bench", "export", "--input", sample / "events.root", "--max-events", 2,
        "-o", "input.json",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    entries = json.loads((tmp_path / "input.json").read_text())["data"]
    assert len(entries) == 2
    for entry in entries:
        n_points, n_columns = entry["FEATURES"]["shape"]
        assert n_columns == 3
        assert len(base64.b64decode(entry["FEATURES"]["b64"])) == 4 * 3 * n_points


def test_wrong_range_is_told_in_one_line(refused, sample):
    line = refused(
        "bench", "service", "--input", sample / "events.root", "--concurrency", "x",
        status=2,
    )  # fmt: skip

    assert "--concurrency: expected" in line
