"""The bundled weights find tracks, and the same ones by every way to run them."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import sonic_tracking
from exatrkx_pipeline import bundled_weights, load_weights
from exatrkx_pipeline.tracks.track_building import number_by_first_appearance
from mock_server import MockServer
from mock_server.tracking import tracking_models
from producers import FeatureScale, TrackEvents, node_features, open_events
from sonic_client import BatchingConfig, Client, ClientConfig, Request
from sonic_tracking.main import app

SAMPLE = sonic_tracking.SAMPLE


def sonic(*arguments):
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output


def labels_of(tracks):
    return [found.candidates.labels for found in TrackEvents(tracks)]


def assert_same_labels(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def pipeline():
    return load_weights(bundled_weights())


@pytest.fixture(scope="module")
def sample_features(pipeline):
    scale = FeatureScale(*pipeline.config.features.scales)
    source = open_events([SAMPLE / "events.root"], max_events=8)
    return [node_features(event.xyz, scale) for chunk in source for event in chunk]


@pytest.fixture(scope="module")
def direct(pipeline, sample_features):
    return [pipeline.labels(event) for event in sample_features]


@pytest.fixture(scope="module")
def server():
    with MockServer(tracking_models(bundled_weights())) as running:
        yield running


def labels_through(server, features, **config):
    requests = (Request(i, {"FEATURES": event}) for i, event in enumerate(features))
    with Client(ClientConfig(servers=server.url, **config)) as client:
        return [answer.outputs["LABELS"] for answer in client.map(requests)]


def test_a_request_per_event_gives_the_labels_of_the_pipeline(
    server, sample_features, direct
):
    served = labels_through(server, sample_features, model_name="exatrkx")

    assert_same_labels(served, direct)


@pytest.mark.parametrize("max_events", [1, 3, 8])
def test_batches_of_any_size_give_the_labels_of_the_pipeline(
    server, sample_features, direct, max_events
):
    served = labels_through(
        server,
        sample_features,
        model_name="exatrkx_batch",
        layout="concat",
        batching=BatchingConfig(max_events=max_events),
    )

    assert_same_labels(served, direct)


def test_the_order_of_the_space_points_changes_no_track(
    pipeline, sample_features, direct
):
    rng = np.random.default_rng(2)

    for event, labels in zip(sample_features[:4], direct, strict=False):
        order = rng.permutation(len(event))
        shuffled = pipeline.labels(event[order])
        np.testing.assert_array_equal(
            shuffled, number_by_first_appearance(labels[order])
        )


def scores_of(tracks, truth, folder):
    report = folder / "eval.json"
    sonic("evaluate", tracks, "--truth", truth, "--json", report)
    return json.loads(report.read_text())


def assert_reaches_the_goal(scores):
    assert scores["efficiency"]["value"] >= 0.95
    assert scores["fake_rate"]["value"] <= 0.05
    assert set(scores["edges"]) == {"radius graph", "filter", "gnn", "tracks"}


def test_the_sample_is_tracked_as_promised(tmp_path):
    tracks = tmp_path / "tracks.root"

    sonic("track", SAMPLE / "events.root", "-o", tracks)

    scores = scores_of(tracks, SAMPLE / "truth.root", tmp_path)
    assert_reaches_the_goal(scores)


def test_events_of_other_makers_are_tracked_as_promised_from_both_forms(
    shared_data, tmp_path
):
    folder = shared_data / "sim_pu0"
    outputs = [tmp_path / f"{form}.root" for form in ("ttree", "rntuple")]

    for form, output in zip(("ttree", "rntuple"), outputs, strict=True):
        sonic("track", folder / f"spacepoints_{form}.root", "-o", output)

    assert_same_labels(*map(labels_of, outputs))
    scores = scores_of(outputs[0], folder / "truth_ttree.root", tmp_path)
    assert_reaches_the_goal(scores)


def test_feature_csv_files_get_one_label_a_row(shared_data, tmp_path):
    files = sorted((shared_data / "lrt").glob("*.csv"))[:10]
    tracks = tmp_path / "tracks.root"

    sonic("track", *files, "-o", tracks, "--csv-scale", "1000,3.14159265,1000")

    n_rows = [len(file.read_text().splitlines()) for file in files]
    assert [len(labels) for labels in labels_of(tracks)] == n_rows
