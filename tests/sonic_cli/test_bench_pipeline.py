"""`sonic bench pipeline`: what is measured, and on what events; no time is judged."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_cli.bench.baselines import faiss_flat_graph, has_faiss
from sonic_cli.bench.overlay import overlaid, parse_sizes, plan_sizes
from sonic_client import ConfigError

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


@pytest.mark.skipif(not has_faiss(), reason="no faiss")
def test_faiss_finds_the_same_edges():
    from exatrkx_pipeline.neighbours import radius_graph

    points = np.random.default_rng(1).normal(size=(400, 8)).astype(np.float32)

    np.testing.assert_array_equal(
        faiss_flat_graph(points, 1.5), radius_graph(points, 1.5)
    )


def test_report_has_every_stage_size_and_baseline(sonic, sample, weights, tmp_path):
    report, plot = tmp_path / "pipeline.json", tmp_path / "pipeline.png"

    done = sonic(
        "bench", "pipeline", "--input", sample / "events.root", "--max-events", 2,
        "--weights", weights,
        "--points", "200:1000", "--baseline-points", 300,
        "--json", report, "--plot", plot,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    figures = json.loads(report.read_text())
    assert [each["n_points"] for each in figures["sizes"]] == [200, 300, 1_000]
    for cost in figures["sizes"]:
        assert cost["n_radius_edges"] >= cost["n_filtered_edges"]
        assert 0.0 < sum(cost["stages_s"].values()) <= cost["total_s"]
        assert cost["peak_memory_bytes"] > 0
    assert {"filter", "gnn"} <= figures["baselines"].keys()
    # Of logits, relative to their scale.
    assert figures["baselines"]["gnn"]["difference"] < 5e-4
    assert figures["baselines"]["filter"]["difference"] < 5e-4
    assert figures["machine"]["cores"]
    assert figures["batch"].keys() == {"one_by_one", "together"}
    assert plot.read_bytes().startswith(b"\x89PNG")
