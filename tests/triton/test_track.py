"""`sonic track` against a real Triton: its labels, and the end of its server."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tritonclient.grpc as triton_client

from producers import FeatureScale, TrackEvents, node_features, open_events

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

N_EVENTS = 20


def track(sample, output, *arguments):
    return subprocess.Popen(
        [
            sys.executable, "-m", "sonic_tracking", "track", str(sample),
            "-o", str(output), "--json", str(output.with_suffix(".json")),
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def labels_in(output):
    return [found.candidates.labels for found in TrackEvents(output)]


@pytest.fixture(scope="module")
def expected(pipeline, sample):
    """Components of the sample's events, by the pipeline itself."""
    scale = FeatureScale(*pipeline.config.features.scales)
    return [
        pipeline.labels(node_features(event.xyz, scale))
        for chunk in open_events([sample])
        for event in chunk
    ]


def assert_candidates_are(labels, expected):
    """Points on no candidate aside: components of fewer than three points."""
    for found, components in zip(labels, expected, strict=True):
        sizes = np.bincount(components)
        np.testing.assert_array_equal(found >= 0, sizes[components] >= 3)


def await_inferences(url: str, model: str, n_wanted: int) -> None:
    with triton_client.InferenceServerClient(url.removeprefix("grpc://")) as client:
        while True:
            statistics = client.get_inference_statistics(model).model_stats[0]
            if statistics.inference_count >= n_wanted:
                return


def test_job_survives_the_death_of_its_server(start_triton, sample, expected, tmp_path):
    output = tmp_path / "tracks.root"
    with start_triton(models=("exatrkx",)) as server:
        job = track(
            sample, output, "--server", server.url, "--fallback", "mock",
            "--window", 2,
        )  # fmt: skip
        await_inferences(server.url, "exatrkx", 3)

        os.kill(server.pid, signal.SIGKILL)

        printed = job.communicate()[0]

    assert job.returncode == 0, printed
    assert_candidates_are(labels_in(output), expected)
    summary = json.loads(output.with_suffix(".json").read_text())["summary"]
    assert summary["events"] == N_EVENTS
    assert summary["failed_events"] == 0
    by_fallback = summary["fallback_events"]
    assert 0 < by_fallback <= N_EVENTS - 3
    assert sum(summary["servers"].values()) == N_EVENTS
    assert "fallback" in printed


@pytest.mark.parametrize("layout", ["per_event", "concat"])
def test_tracks_are_those_of_the_pipeline(triton, sample, expected, tmp_path, layout):
    output = tmp_path / "tracks.root"

    job = track(sample, output, "--server", triton.url, "--layout", layout)

    printed = job.communicate()[0]
    assert job.returncode == 0, printed
    assert_candidates_are(labels_in(output), expected)


def test_local_triton_is_started_on_demand_as_fallback(sample, triton_python, tmp_path):
    options = f'options = {{ python = "{triton_python}" }}\n' if triton_python else ""
    config = tmp_path / "client.toml"
    config.write_text(
        f'[client.fallback]\nname = "triton"\nstart_timeout_s = 200.0\n{options}'
    )
    output = tmp_path / "tracks.root"

    # Port 9 is "discard": nothing listens.
    job = track(
        sample, output, "--server", "grpc://127.0.0.1:9", "--client-config", config,
        "--max-events", 3,
    )  # fmt: skip

    printed = job.communicate()[0]
    assert job.returncode == 0, printed
    summary = json.loads(output.with_suffix(".json").read_text())["summary"]
    assert summary["fallback_events"] == 3
