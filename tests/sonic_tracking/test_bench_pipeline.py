"""`sonic bench pipeline`: what is measured, and on what events; no time is judged."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import ConfigError
from sonic_tracking.bench.baselines import GRAPH_SEARCHES, faiss_flat_graph, has_faiss
from sonic_tracking.bench.events import overlaid, parse_sizes, plan_sizes
from sonic_tracking.bench.pipeline_report import SizeCost, edge_exponent
from sonic_tracking.memory import with_peak_memory

SCALE = math.pi


def small_events():
    rng = np.random.default_rng(3)
    return [
        rng.uniform(-1.0, 1.0, (n, 3)).astype(np.float32) * np.float32(0.9)
        for n in (40, 0, 25)
    ]


@given(st.integers(0, 300))
def test_overlay_has_exactly_as_many_points_as_asked_for(n_points):
    event = overlaid(small_events(), n_points, SCALE, np.random.default_rng(0))

    assert event.shape == (n_points, 3)
    assert event.dtype == np.float32
    assert (np.abs(event[:, 1]) <= 1.0 + 1e-6).all()


def test_overlaid_event_is_turned_as_a_whole():
    given_event = small_events()[0]

    event = overlaid([given_event], 40, SCALE, np.random.default_rng(0))

    np.testing.assert_array_equal(event[:, [0, 2]], given_event[:, [0, 2]])
    turns = (event[:, 1] - given_event[:, 1]) % 2.0
    np.testing.assert_allclose(turns, turns[0], atol=1e-5)
    assert turns[0] > 0.0


def test_nothing_to_lay_over_is_refused():
    with pytest.raises(ValueError, match="no event has any space points"):
        overlaid([np.empty((0, 3), np.float32)], 5, SCALE, np.random.default_rng(0))


def test_sizes_are_two_to_a_decade_with_both_ends():
    assert plan_sizes(1_000, 600_000) == (
        1_000,
        3_000,
        10_000,
        30_000,
        100_000,
        300_000,
        600_000,
    )
    assert parse_sizes("500:2000", "--points") == (500, 1_000, 2_000)
    assert parse_sizes("700", "--points") == (700,)


@pytest.mark.parametrize("text", ["", "a", "0:5", "9:3", "1:2:3", "-4"])
def test_other_sizes_are_refused_by_their_option(text):
    with pytest.raises(ConfigError, match="--points"):
        parse_sizes(text, "--points")


@pytest.mark.parametrize("name", GRAPH_SEARCHES)
def test_baselines_find_the_same_edges(name):
    from exatrkx_pipeline.graph.neighbours import radius_graph

    if GRAPH_SEARCHES[name] is faiss_flat_graph and not has_faiss():
        pytest.skip("no faiss")
    points = np.random.default_rng(1).normal(size=(400, 8)).astype(np.float32)

    edges = GRAPH_SEARCHES[name](points, 1.5)

    np.testing.assert_array_equal(edges, radius_graph(points, 1.5))


def cost(n_points, n_edges, total_s):
    return SizeCost(
        n_points=n_points,
        n_radius_edges=n_edges,
        n_filtered_edges=n_edges // 2,
        stages_s={"filter": total_s / 2, "gnn": total_s / 3},
        total_s=total_s,
        cpu_s=total_s,
        peak_memory_bytes=10**9,
    )


def test_exponent_is_that_of_the_power_law_of_large_events():
    # 1 us an edge to the power of 1.25; what is small costs something in any case.
    sizes = [cost(n, 9 * n, 1e-6 * (9 * n) ** 1.25) for n in (10_000, 50_000, 90_000)]

    assert edge_exponent([cost(100, 900, 5.0), *sizes]) == pytest.approx(1.25)


def test_one_size_has_no_exponent():
    assert edge_exponent([cost(10_000, 1_000, 1.0)]) is None
    assert edge_exponent([cost(10_000, 0, 1.0), cost(20_000, 9, 1.0)]) is None


def test_peak_memory_is_that_of_the_call():
    def hold():
        return np.ones(40_000_000, dtype=np.uint8).sum()

    (total, large), (_, small) = with_peak_memory(hold), with_peak_memory(lambda: None)

    assert total == 40_000_000
    assert large > 40_000_000
    assert small <= large


def test_report_has_every_way_stage_size_and_baseline(sonic, sample, weights, tmp_path):
    report, plot = tmp_path / "pipeline.json", tmp_path / "pipeline.png"
    tables = tmp_path / "pipeline.md"

    done = sonic(
        "bench", "pipeline", "--input", sample / "events.root", "--max-events", 2,
        "--weights", weights,
        "--points", "200:1000", "--baseline-points", 300,
        "--json", report, "--plot", plot, "--markdown", tables,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    figures = json.loads(report.read_text())
    ways = [(each["way"], each["threads"]) for each in figures["rates"]]
    assert ways == [
        ("one by one", 1),
        ("one by one", 2),
        ("side by side", 2),
        ("in one batch", 1),
        ("in one batch", 2),
    ]
    assert all(each["events_per_s"] > 0.0 for each in figures["rates"])
    assert 0.0 < figures["rates"][0]["p50_s"] <= figures["rates"][0]["p95_s"]
    assert [each["n_points"] for each in figures["sizes"]] == [200, 300, 1_000]
    for size in figures["sizes"]:
        assert size["n_radius_edges"] >= size["n_filtered_edges"]
        assert 0.0 < sum(size["stages_s"].values()) <= size["total_s"]
        assert size["peak_memory_bytes"] > 0
        assert size["cpu_s"] > 0.0
    assert {each["stage"] for each in figures["baselines"]} >= {
        "neighbours", "filter", "gnn",
    }  # fmt: skip
    for baseline in figures["baselines"]:  # logits relative to their scale; no edges
        assert baseline["difference"] < 5e-4
    assert figures["machine"]["cores"]
    assert figures["edge_exponent"] is not None
    assert plot.read_bytes().startswith(b"\x89PNG")
    written = tables.read_text()
    assert "| 1,000 |" in written
    assert str(figures["machine"]["processor"]) in written
    assert written.count("\n| --- |") == 3
