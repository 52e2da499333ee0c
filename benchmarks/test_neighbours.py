"""Neighbour search against the paper's on CPU, faiss comparing all with all.

It is also compared with scipy's tree. ``pytest benchmarks/test_neighbours.py``. One
thread; overlaid events of the sample, in the embedding of the bundled weights.
"""

import numpy as np
import pytest
import torch

import sonic_tracking
from exatrkx_pipeline import bundled_weights, load_weights
from sonic_tracking.bench import (
    faiss_flat_graph,
    graph_times,
    overlaid,
    read_features,
    tree_graph,
)

N_POINTS = 30_000


@pytest.mark.benchmark(group="neighbours")
@pytest.mark.parametrize(
    "search", [faiss_flat_graph, tree_graph], ids=["faiss", "tree"]
)
def test_radius_graph_against_others(benchmark, is_smoke, search):
    if search is faiss_flat_graph:
        pytest.importorskip("faiss")
    pipeline = load_weights(bundled_weights())
    sample = sonic_tracking.SAMPLE / "events.root"
    features = read_features([str(sample)], pipeline.config.features.scales)
    phi_scale = pipeline.config.features.scales[1]
    n_points = 500 if is_smoke else N_POINTS
    event = overlaid(features, n_points, phi_scale, np.random.default_rng(1))
    embedded = pipeline.embed(pipeline.ordered(event)[1]).numpy()
    threads_before = torch.get_num_threads()
    torch.set_num_threads(1)
    rounds = []
    try:
        benchmark.pedantic(
            lambda: rounds.append(
                graph_times(embedded, pipeline.config.graph.r_val, search)
            ),
            rounds=1 if is_smoke else 2,
        )
    finally:
        torch.set_num_threads(threads_before)

    ours_s = min(each["ours_s"] for each in rounds)
    other_s = min(each["other_s"] for each in rounds)
    benchmark.extra_info.update(
        n_points=n_points,
        ours_s=ours_s,
        other_s=other_s,
        ratio=other_s / ours_s,
        missing_edges=rounds[0]["missing_edges"],
    )
