"""The jobs as Python functions: what a notebook gets."""

import asyncio
import gc
import subprocess
import sys
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

import sonic_tracking
from exatrkx_pipeline import Pipeline, load_weights, save_weights
from mock_server import FaultPlan, MockServer
from mock_server.tracking import tracking_models
from producers import (
    EventFailedError,
    FeatureScale,
    SpacePointWriter,
    TrackEvents,
    UnequalEventsError,
    node_features,
    open_events,
)
from sonic_base import ConfigError
from sonic_tracking import find_tracks, serve, servers, track

N_EVENTS = 3


@pytest.fixture(scope="module")
def events(sample):
    """The positions of some events."""
    source = open_events(sample / "events.root", max_events=N_EVENTS)
    return [event.xyz for chunk in source for event in chunk]


@pytest.fixture(scope="module")
def nested(events):
    """The same as one awkward array."""
    flat = ak.from_numpy(np.concatenate(events))
    return ak.unflatten(flat, [len(xyz) for xyz in events])


@pytest.fixture(scope="module")
def result(sample, weights):
    return track(sample / "events.root", weights=weights, max_events=N_EVENTS)


@pytest.fixture(scope="module")
def server(weights):
    with serve(weights=weights) as running:
        yield running


def test_result_gives_each_event_with_its_tracks(result, events):
    pairs = list(result)

    assert len(result) == len(pairs) == N_EVENTS
    for (event, tracks), xyz in zip(pairs, events, strict=True):
        np.testing.assert_array_equal(event.xyz, xyz)
        assert len(tracks.labels) == len(xyz)
    assert repr(result) == (
        f"<TrackingResult: {sum(len(tracks) for _, tracks in pairs)} track candidates "
        f"of {N_EVENTS} events>"
    )
    assert result.summary.client.events == N_EVENTS


def test_result_gives_its_tracks_as_one_array(result):
    array = result.arrays()

    for record, (event, tracks) in zip(array, result, strict=True):
        assert record.event == event.event_id
        np.testing.assert_array_equal(record.sp_label, tracks.labels)
        assert [len(each) for each in record.candidates] == tracks.sizes.tolist()


def test_temporary_file_goes_with_the_result(sample, weights):
    found = track(sample / "events.root", weights=weights, max_events=1)
    path = found.path
    assert path.exists()

    del found
    gc.collect()

    assert not path.parent.exists()


def test_named_output_is_written_and_kept(sample, weights, tmp_path):
    path = tmp_path / "t.parquet"
    pytest.importorskip("pyarrow", reason="needs the extra parquet")

    found = track(sample / "events.root", output=path, weights=weights, max_events=2)

    assert repr(found).endswith(f"of 2 events in {path}>")
    assert len(TrackEvents(path)) == len(list(found)) == 2


def test_failed_event_has_no_tracks(sample, weights):
    models = tracking_models(weights)
    with MockServer(
        models, faults=FaultPlan().on(2).refuse("INVALID_ARGUMENT", "no")
    ) as bad:
        job = {"server": bad.url, "window": 1, "max_events": N_EVENTS}
        found = track(sample / "events.root", on_failure="skip", **job)

    assert [tracks is None for _, tracks in found] == [False, True, False]
    assert ak.is_none(found.arrays()).tolist() == [False, True, False]
    assert "1 of them failed" in repr(found)


def test_failed_event_ends_the_job_by_default(sample, weights):
    models = tracking_models(weights)
    with (
        MockServer(models, faults=FaultPlan().on().refuse("INTERNAL", "no")) as bad,
        pytest.raises(EventFailedError),
    ):
        track(sample / "events.root", server=bad.url, max_events=1)


def test_columns_are_given_as_a_mapping(sample, weights):
    columns = {axis: f"sp_{axis}" for axis in "xyz"}

    found = track(
        sample / "events.root", columns=columns, weights=weights, max_events=1
    )

    assert len(found) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": 2, "dask": "tcp://h:1"}, "exclude one another"),
        ({"dask": "tcp://h:1"}, "needs an output"),
        ({"resume": True}, "need an output"),
        ({"workers": 0}, "at least 1"),
    ],
    ids=["both", "no output", "resume", "none"],
)
def test_wrong_settings_of_a_job_are_refused(sample, settings, words):
    with pytest.raises(ConfigError, match=words):
        track(sample / "events.root", **settings)


def test_tracks_of_one_event_are_the_pipelines(events, weights):
    pipeline = load_weights(weights)
    scale = FeatureScale(*pipeline.config.features.scales)

    tracks = find_tracks(events[0], weights=weights, min_space_points=1)

    expected = pipeline.labels(node_features(events[0], scale))
    np.testing.assert_array_equal(tracks.labels, expected)


def test_positions_may_be_in_another_unit(events, weights):
    in_cm = events[0].astype(np.float64) / 10.0

    found = find_tracks(in_cm, weights=weights, unit="cm", min_space_points=1)

    expected = find_tracks(events[0], weights=weights, min_space_points=1)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_transposed_positions_are_told_from_several_events(events, weights):
    with pytest.raises(ValueError, match=r"give its transpose, xyz\.T"):
        find_tracks(events[0].T, weights=weights)


def test_weights_that_were_replaced_are_loaded_again(events, tiny_config, tmp_path):
    sizes = []
    for score_cut in (0.0, 0.9999):
        building = replace(tiny_config.track_building, score_cut=score_cut)
        config = replace(tiny_config, track_building=building)
        pipeline = Pipeline.untrained(config)
        save_weights(tmp_path, pipeline, training={}, scores={})
        sizes.append(len(find_tracks(events[0], weights=tmp_path, min_space_points=2)))

    assert sizes[0] > sizes[1] == 0  # no score of untrained networks is so high


def test_tracks_of_an_array_are_those_of_its_events(events, nested, weights):
    x, y, z = (nested[..., axis] for axis in range(3))
    records = ak.zip({"x": x, "y": y, "z": z})

    for array in (nested, records):
        found = find_tracks(array, weights=weights)

        assert len(found) == N_EVENTS
        for record, xyz in zip(found, events, strict=True):
            alone = find_tracks(xyz, weights=weights)
            np.testing.assert_array_equal(record.sp_label, alone.labels)
            for number, points in enumerate(record.candidates):
                np.testing.assert_array_equal(points, alone[number])


def test_tracks_are_those_of_a_server(nested, weights, server):
    here = find_tracks(nested, weights=weights)

    there = find_tracks(nested, server=server.url)

    assert ak.all(here.sp_label == there.sp_label)
    assert here.type == there.type


def test_nothing_has_no_tracks(nested, weights):
    assert len(find_tracks(np.empty((0, 3)), weights=weights)) == 0
    assert len(find_tracks(nested[:0], weights=weights)) == 0
    empty = ak.unflatten(ak.from_numpy(np.empty((0, 3), np.float32)), [0, 0])
    assert ak.num(find_tracks(empty, weights=weights).candidates).tolist() == [0, 0]


@pytest.mark.parametrize(
    "xyz",
    [
        np.zeros((4, 2)),
        np.array([[np.nan, 0.0, 0.0]]),
        ak.Array([1.0, 2.0]),
        ak.Array([[{"x": 1.0, "y": 2.0}]]),
    ],
    ids=["shape", "nan", "no events", "no z"],
)
def test_wrong_positions_are_refused(xyz, weights):
    with pytest.raises(ValueError, match="expected"):
        find_tracks(xyz, weights=weights)


def test_settings_that_do_not_go_together_are_refused(events, weights):
    with pytest.raises(ConfigError, match="a server has its own"):
        find_tracks(events[0], weights=weights, server="localhost:1")
    with pytest.raises(ConfigError, match="needs a server"):
        find_tracks(events[0], model="exatrkx")


def test_servers_are_asked_where_a_loop_runs(server):
    """As it does in a notebook."""

    async def cell():
        return servers([server.url])

    (report,) = asyncio.run(cell())

    assert report.is_ready


def test_server_is_stopped_once(weights):
    running = serve(weights=weights)
    assert str(running.url) in repr(running)

    running.stop()
    running.stop()

    assert not servers([running.url])[0].is_ready


def test_job_shows_its_progress_if_it_is_asked(sample, weights, capsys):
    job = {"weights": weights, "max_events": 1}

    track(sample / "events.root", **job)
    quiet = capsys.readouterr()
    track(sample / "events.root", progress=True, **job)

    assert (quiet.out, quiet.err) == ("", "")
    assert "track: 1 of 1 events" in capsys.readouterr().err


def test_events_that_were_written_here_are_tracked(events, weights, tmp_path):
    class Measured:
        event_id, xyz = 7, events[0]
        volume_id = layer_id = module_id = np.zeros(len(events[0]), np.int32)

    with SpacePointWriter(tmp_path / "mine.root") as writer:
        writer.write(Measured())

    ((event, tracks),) = track(tmp_path / "mine.root", weights=weights)

    assert event.event_id == 7
    assert len(tracks.labels) == len(events[0])


def test_names_load_no_torch_until_they_are_used(sample):
    assert (sonic_tracking.SAMPLE / "events.root").exists()
    with pytest.raises(AttributeError, match="no attribute 'trakc'"):
        sonic_tracking.trakc  # noqa: B018


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (ak.Array([[[1.0, 2.0, 3.0]], None]), "event 1: is None"),
        (ak.Array([[{"x": 1.0, "y": None, "z": 2.0}]]), "event 0, space point 0"),
        (ak.Array([[[1.0, 2.0, 3.0]], [[1.0, np.nan, 3.0]]]), "event 1, space point 0"),
        (np.ma.masked_invalid([[1.0, np.nan, 3.0]]), "space point 0"),
        (np.array([[1.0, np.inf, 3.0]]), "space point 0"),
        ([np.zeros((2, 3)), np.zeros((1, 3))], "ak.zip"),
        ({"x": [1.0], "y": [1.0], "z": [1.0]}, "ak.zip"),
    ],
)
def test_wrong_positions_are_named(positions, words):
    with pytest.raises(ValueError, match=words):
        find_tracks(positions)


def test_an_event_or_an_empty_list(sample, weights):
    event = next(iter(open_events(sample / "events.root", max_events=1)))[0]
    with pytest.raises(ValueError, match=r"event\.xyz"):
        find_tracks(event)
    assert len(find_tracks([], weights=weights)) == 0


def test_result_is_indexed(result):
    pairs = list(result)
    assert result[-1][0].event_id == pairs[-1][0].event_id
    assert [e.event_id for e, _ in result[1:]] == [e.event_id for e, _ in pairs[1:]]
    with pytest.raises(IndexError, match="of 3 events"):
        result[3]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: track(np.zeros((3, 3))), "find_tracks"),
        (lambda: track("a.root", on_failure="ignore"), "one of raise, skip, fill"),
        (lambda: serve("trtn"), "unknown engine 'trtn'"),
        (lambda: sonic_tracking.evaluate(3, "t.root"), "result of track"),
        (
            lambda: sonic_tracking.simulate("a", "b", n_events=1, generator="pythia"),
            "pythia8",
        ),
    ],
)
def test_wrong_calls_are_one_line(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


def test_picture_has_the_format_of_its_suffix(result, sample, tmp_path):
    evaluated = sonic_tracking.evaluate(result, truth=sample / "truth.root")

    evaluated.plot(tmp_path / "page.pdf")

    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ConfigError, match=r"\.png, \.pdf or \.svg"):
        evaluated.plot(tmp_path / "page.docx")
    with pytest.raises(ValueError, match="variable must be one of pt_gev"):
        evaluated.histogram("efficiency", "pt")


def test_script_without_a_guard_is_refused(sample, tmp_path):
    script = tmp_path / "job.py"
    job = f"track({str(sample / 'events.root')!r}, workers=2)"
    script.write_text(f"from sonic_tracking import track\n{job}\n")

    done = subprocess.run(
        [sys.executable, str(script)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode != 0
    assert '__name__ == "__main__"' in done.stderr.splitlines()[-1]


def test_wrong_truth_of_a_result_in_memory_names_the_result(
    result, sample, monkeypatch
):
    def refuse(found, *_, **__):
        raise UnequalEventsError(f"{found.path}: 3 events, the truth has 2")

    monkeypatch.setattr("producers.evaluation.evaluate", refuse)
    with pytest.raises(UnequalEventsError, match="the result") as caught:
        sonic_tracking.evaluate(result, truth=sample / "truth.root")

    assert "sonic-tracks-" not in str(caught.value)
