"""Two dask workers against one process, at a server that takes 20 ms a request.

    pytest benchmarks/test_dask.py --benchmark-columns=median

The goal is 1.8 times the throughput, with the same output. The start of the cluster and
of the server are left out, because they do not grow with the job.
"""

import subprocess
import sys

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import TrackEvents

pytest.importorskip("distributed", reason="needs the extra dask")

from sonic_tracking import track

# One request at a time per process, so that the processes share the server's time; with
# more in flight they would share the processors of this machine.
N_POINTS, WINDOW = 100, 1
SERVER = """
import sys, time
import numpy as np
from mock_server import MockServer, Model, TensorSpec

def sectors(tensors):
    time.sleep(0.02)
    return {"LABELS": np.floor(20 + 20 * tensors["FEATURES"][:, 1]).astype(np.int64)}

features, labels = TensorSpec("FEATURES", "FP32", (-1, 3)), TensorSpec("LABELS", "INT64", (-1,))
scales = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}
model = Model("exatrkx", [features], [labels], sectors, instances=64, parameters=scales)
with MockServer([model]) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""  # noqa: E501


@pytest.fixture
def server():
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def write_events(path, n_events):
    rng = np.random.default_rng(1)
    counts = np.full(n_events, N_POINTS)
    columns = {
        f"sp_{axis}": ak.unflatten(rng.normal(0, 400, counts.sum()), counts)
        for axis in "xyz"
    }
    with uproot.recreate(path) as file:
        types = dict.fromkeys(columns, "var * float64")
        file.mktree("events", {"event": "int64", **types})
        file["events"].extend({"event": np.arange(n_events), **columns})


def labels_in(path):
    return [track.candidates.labels for track in TrackEvents(path)]


def test_two_workers_against_one_process(benchmark, is_smoke, server, tmp_path):
    n_events = 40 if is_smoke else 800
    events = tmp_path / "events.root"
    write_events(events, n_events)

    def run(output, workers):
        result = track(
            events,
            output=tmp_path / output,
            server=server,
            window=WINDOW,
            workers=workers,
        )
        return result.report

    one = run("one.root", None)
    two = benchmark.pedantic(run, ("two.root", 2), rounds=1, iterations=1)

    assert two.times.events == n_events
    assert all(
        map(
            np.array_equal,
            labels_in(tmp_path / "one.root"),
            labels_in(tmp_path / "two.root"),
        )
    )
    benchmark.extra_info["events"] = n_events
    benchmark.extra_info["events per second, one process"] = one.events_per_s
    benchmark.extra_info["events per second, two workers"] = two.events_per_s
    benchmark.extra_info["ratio"] = two.events_per_s / one.events_per_s
