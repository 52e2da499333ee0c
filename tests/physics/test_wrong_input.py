"""Events that the weights were not made for are refused by every way to run them."""

import logging
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

import sonic_tracking
from exatrkx_pipeline import load_weights
from mock_server import MockServer
from mock_server.tracking import tracking_models
from producers import (
    EventFailedError,
    EventLoop,
    FeatureScale,
    TrackFindingProducer,
    node_features,
    open_events,
)
from sonic_base.input_range import InputRangeError
from sonic_client import Client, ClientConfig, RejectedRequestError, Request
from sonic_tracking import find_tracks, track
from sonic_tracking.main import app

SAMPLE = sonic_tracking.SAMPLE / "events.root"


def cylindrical(xyz):
    x, y, z = xyz.T
    return np.column_stack((np.hypot(x, y), np.arctan2(y, x), z))


MISTAKES = {
    "cm": (lambda xyz: xyz / 10, "--unit cm"),
    "m": (lambda xyz: xyz / 1000, "--unit m"),
    "um": (lambda xyz: xyz * 1000, "--unit um"),
    "x and z swapped": (lambda xyz: xyz[:, ::-1], "are x and z swapped"),
    "r, phi, z": (cylindrical, "are x, y, z really r, phi, z"),
}


def laid_over_each_other(events):
    """One event as dense as all of them together, each turned about the beam."""
    turned = []
    for number, xyz in enumerate(events):
        r, phi, z = cylindrical(xyz).T
        phi = phi + 2.4 * number
        turned.append(np.column_stack((r * np.cos(phi), r * np.sin(phi), z)))
    return np.concatenate(turned).astype(np.float32)


@pytest.fixture(scope="module")
def sample():
    return [event.xyz for chunk in open_events(SAMPLE) for event in chunk]


@pytest.fixture(scope="module")
def pipeline():
    return load_weights("generic_pu0")


@pytest.fixture(scope="module")
def scale(pipeline):
    return FeatureScale(*pipeline.config.features.scales)


@pytest.fixture(scope="module")
def server():
    with MockServer(tracking_models("generic_pu0")) as running:
        yield running


@pytest.mark.parametrize(("mistake", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_pipeline_refuses_what_it_was_not_trained_on(
    pipeline, sample, scale, mistake, said
):
    features = node_features(mistake(sample[0]), scale)

    with pytest.raises(InputRangeError, match=said):
        pipeline.labels(features)


@pytest.mark.parametrize(("mistake", "said"), MISTAKES.values(), ids=MISTAKES)
def test_find_tracks_refuses_it_too(sample, mistake, said):
    with pytest.raises(ValueError, match=said):
        find_tracks(mistake(sample[0]), weights="generic_pu0")


def test_any_input_is_answered_if_the_caller_says_so(sample):
    tracks = find_tracks(sample[0] / 10, weights="generic_pu0", any_input=True)

    assert len(tracks.labels) == len(sample[0])


def test_an_event_among_several_is_named(pipeline, sample, scale):
    events = [node_features(each, scale) for each in (sample[0], sample[1] / 10)]

    with pytest.raises(InputRangeError, match=r"^event 1: not what these weights"):
        pipeline.labels_of(events)


def test_the_sample_is_within_the_range_in_all_its_parts(pipeline, sample, scale):
    check = pipeline.input_check
    for xyz in sample:
        r = np.hypot(*xyz[:, :2].T)
        for part in (r > 0, r < 180, r > 250, xyz[:, 0] > 0, np.abs(xyz[:, 2]) < r):
            check.require(node_features(xyz[part], scale))


def test_events_as_dense_as_pileup_are_refused_by_weights_without(pipeline, sample):
    scale = FeatureScale(*pipeline.config.features.scales)
    dense = node_features(laid_over_each_other(sample), scale)

    with pytest.raises(InputRangeError, match="use weights for such events"):
        pipeline.labels(dense)


def test_a_server_answers_a_foreign_client_with_invalid_argument(server, sample, scale):
    wrong = Request(0, {"FEATURES": node_features(sample[0] / 10, scale)})
    config = ClientConfig(servers=server.url, model_name="exatrkx")

    with (
        Client(config) as client,
        pytest.raises(RejectedRequestError, match="centimetres") as caught,
    ):
        client.infer(wrong.inputs)

    assert caught.value.status == "INVALID_ARGUMENT"


def write_events(path, events):
    """Write positions as a jagged TTree, like the files of `sonic simulate`."""
    x, y, z = (ak.Array([xyz[:, axis] for xyz in events]) for axis in range(3))
    columns = {"event": np.arange(len(events)), "sp": ak.zip({"x": x, "y": y, "z": z})}
    with uproot.recreate(path) as file:
        file.mktree("events", {name: ak.type(each) for name, each in columns.items()})
        file["events"].extend(columns)
    return path


@pytest.fixture
def mixed(sample, tmp_path):
    """A file of three events, of which the second is in metres."""
    return write_events(
        tmp_path / "mixed.root", [sample[0], sample[1] / 1e3, sample[2]]
    )


def test_an_event_that_is_refused_is_the_events_own_failure(mixed, caplog):
    result = track(mixed, weights="generic_pu0", on_failure="skip")

    assert [tracks is None for _, tracks in result] == [False, True, False]
    (failure,) = result.report.failures
    assert "--unit m" in failure.cause
    assert failure.servers == ""
    assert result.report.summary.client.requests == 2  # it was never sent


def test_the_job_ends_there_by_default_before_anything_is_sent(mixed):
    with pytest.raises(EventFailedError, match=r"event 1 .*--unit m"):
        track(mixed, weights="generic_pu0")


def test_the_command_refuses_in_one_line_and_obeys_any_input(mixed, tmp_path):
    job = ["track", str(mixed), "-o", str(tmp_path / "tracks.root")]
    job += ["--weights", "generic_pu0", "--force"]

    refused = CliRunner().invoke(app, job)
    obeyed = CliRunner().invoke(app, [*job, "--any-input"])

    assert refused.exit_code == 1
    (line,) = [each for each in refused.stderr.splitlines() if "metres" in each]
    assert line.endswith("(--any-input) to find tracks nevertheless")
    assert obeyed.exit_code == 0, obeyed.output


def test_a_server_without_a_range_is_not_compared_with(sample, caplog):
    models = tracking_models("generic_pu0", any_input=True)
    with MockServer(models) as server, caplog.at_level(logging.DEBUG, "producers"):
        tracks = find_tracks(sample[0] / 10, server=server.url)

    assert len(tracks.labels) == len(sample[0])
    assert "does not declare what it was trained on" in caplog.text


def test_the_client_checks_before_it_sends(server, sample):
    before = requests_at(server)

    with pytest.raises(InputRangeError, match="centimetres"):
        find_tracks(sample[0] / 10, server=server.url)

    assert requests_at(server) == before


def requests_at(server):
    with Client(ClientConfig(servers=server.url, model_name="exatrkx")) as client:
        return client.summary().client.requests


def test_positions_that_are_not_finite_fail_their_event_alone(server, sample):
    (chunk,) = open_events(SAMPLE, max_events=3)
    xyz = chunk.xyz.copy()
    xyz[chunk.row_splits[1]] = np.nan
    with Client(ClientConfig(servers=server.url, model_name="exatrkx")) as client:
        producer = TrackFindingProducer(client.metadata)
        loop = EventLoop([replace(chunk, xyz=xyz)], producer, client, on_failure="skip")
        found = [tracks is not None for _, tracks in loop.run()]

    assert found == [True, False, True]
    assert "expected finite numbers" in str(loop.failures[0])


def test_few_points_on_candidates_are_said_at_the_end(sample, tmp_path):
    rng = np.random.default_rng(3)
    scrambled = []
    for xyz in sample[:3]:  # the detector is right, but there are no tracks
        r, _, z = cylindrical(xyz).T
        phi = rng.uniform(-np.pi, np.pi, len(r))
        scrambled.append(np.column_stack((r * np.cos(phi), r * np.sin(phi), z)))
    path = write_events(tmp_path / "scrambled.root", scrambled)

    report = track(path, weights="generic_pu0").report

    assert "of the space points are on candidates, in the training" in report.unusual
    assert ("unusual", report.unusual) in report.rows()
    assert track(SAMPLE, max_events=3, weights="generic_pu0").report.unusual == ""


def test_the_density_of_an_event_chooses_between_the_default_weights(sample, scale):
    default = load_weights("generic")
    dense = node_features(laid_over_each_other(sample[:8]), scale)
    sparse = node_features(sample[0], scale)

    labels = default.labels_of([sparse, dense, sparse])

    np.testing.assert_array_equal(labels[0], load_weights("generic_pu0").labels(sparse))
    np.testing.assert_array_equal(labels[2], labels[0])
    np.testing.assert_array_equal(
        labels[1], load_weights("generic_pileup").labels(dense)
    )
