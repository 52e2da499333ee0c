"""Networks against themselves as TorchScript, and batches against single events.

``pytest benchmarks/test_gnn.py``: ratios within one run. At 300k nodes and 1M edges the
scripted network takes minutes: set GNN_EDGES=1000000. All run in one thread, or in as
many as GNN_THREADS.
"""

import os
import time

import numpy as np
import pytest
import torch

import sonic_tracking
from exatrkx_pipeline import bundled_weights, load_weights
from exatrkx_pipeline.stages import Cylindrical
from sonic_tracking.bench import read_features, scripted_times

N_EDGES = int(os.environ.get("GNN_EDGES", "100000"))
N_THREADS = int(os.environ.get("GNN_THREADS", "1"))
EDGES_PER_NODE = 3.3
REACH = 0.1
"""Most that the ends of an edge differ in azimuth, in rad."""


def event_graph(n_edges, features):
    """Points all over a detector, edges between those close in azimuth."""
    rng = np.random.default_rng(0)
    n_nodes = max(int(n_edges / EDGES_PER_NODE), 2)
    columns = (
        rng.uniform(0.03, 1.0, n_nodes),
        rng.uniform(-1.0, 1.0, n_nodes),
        rng.uniform(-3.0, 3.0, n_nodes),
    )
    scaled = torch.from_numpy(np.column_stack(columns).astype(np.float32))
    points = Cylindrical.of(scaled, features)
    by_phi = torch.argsort(points.phi).numpy()
    first = rng.integers(0, n_nodes, n_edges)
    step = rng.integers(1, max(int(n_nodes * REACH / 6.28), 2), n_edges)
    ends = by_phi[np.stack((first, (first + step) % n_nodes))]
    row, col = ends.max(axis=0), ends.min(axis=0)
    order = np.lexsort((col, row))
    return points, torch.from_numpy(np.stack((row[order], col[order])))


@pytest.mark.benchmark(group="networks")
@pytest.mark.parametrize("weights", ["generic_pu0", "generic_pileup"])
@pytest.mark.parametrize("stage", ["gnn", "filter"])
def test_network_against_torchscript(benchmark, is_smoke, stage, weights):
    pipeline = load_weights(bundled_weights(weights))
    n_edges = 500 if is_smoke else N_EDGES
    points, edges = event_graph(n_edges, pipeline.config.features)
    threads_before = torch.get_num_threads()
    torch.set_num_threads(N_THREADS)
    rounds = []
    try:
        benchmark.pedantic(
            lambda: rounds.append(scripted_times(pipeline, points, stage, edges)),
            rounds=1 if is_smoke else 2,
        )
    finally:
        torch.set_num_threads(threads_before)

    ours_s = min(each["ours_s"] for each in rounds)
    scripted_s = min(each["scripted_s"] for each in rounds)
    difference = max(each["difference"] for each in rounds)
    assert difference < 5e-4
    benchmark.extra_info.update(
        n_edges=n_edges,
        n_threads=N_THREADS,
        ours_s=ours_s,
        scripted_s=scripted_s,
        ratio=scripted_s / ours_s,
        difference=difference,
    )


@pytest.mark.benchmark(group="batch")
@pytest.mark.parametrize("n_points", [100, 300, 1000, 3000])
def test_small_events_together_against_one_by_one(benchmark, is_smoke, n_points):
    """Wedges in phi of the sample's events; both ways with as many threads."""
    pipeline = load_weights(bundled_weights())
    sample = sonic_tracking.SAMPLE / "events.root"
    features = read_features([str(sample)], pipeline.config.features.scales)
    events = [
        wedge_of(event, n_points, turn) for turn in range(5) for event in features
    ]
    if is_smoke:
        events = events[:4]
    threads_before = torch.get_num_threads()
    torch.set_num_threads(N_THREADS)
    singly_s, together_s = [], []

    def singly():
        start = time.perf_counter()
        for event in events:
            pipeline.labels(event)
        singly_s.append(time.perf_counter() - start)

    def together():
        start = time.perf_counter()
        pipeline.labels_of(events)
        together_s.append(time.perf_counter() - start)

    try:
        pipeline.labels_of(events)
        benchmark.pedantic(together, setup=singly, rounds=1 if is_smoke else 5)
    finally:
        torch.set_num_threads(threads_before)

    benchmark.extra_info.update(
        n_points=float(np.mean([len(event) for event in events])),
        n_threads=N_THREADS,
        singly_per_s=len(events) / min(singly_s),
        together_per_s=len(events) / min(together_s),
        ratio=min(singly_s) / min(together_s),
    )


def wedge_of(event, n_points, turn):
    """About so many points of an event, those within a slice in phi."""
    phi = event[:, 1] - np.float32(2 * turn / 5)  # in units of pi
    width = np.float32(2 * min(n_points / len(event), 1.0))
    return event[np.remainder(phi, np.float32(2.0)) <= width]
