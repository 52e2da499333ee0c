"""`--unit`: files in other units give the tracks of the same files in mm."""

import grpc
import numpy as np
import pytest
import uproot

from mock_server import MockServer, Model, ModelError, TensorSpec
from producers import TrackEvents
from sonic_tracking import track

PER_MM = {"cm": 0.1, "m": 1e-3, "um": 1e3}
N_EVENTS = 2


def answer(tensors):
    return {"LABELS": np.zeros(len(tensors["FEATURES"]), np.int64)}


def model_of(function):
    return Model(
        "exatrkx",
        [TensorSpec("FEATURES", "FP32", (-1, 3))],
        [TensorSpec("LABELS", "INT64", (-1,))],
        function,
        parameters={"feature_names": "r,phi,z", "feature_scales": "1000,3.1416,1000"},
    )


@pytest.fixture(scope="module")
def in_unit(sample, tmp_path_factory):
    """Write the first events of the sample in another unit."""
    folder = tmp_path_factory.mktemp("units")

    def write(unit):
        path = folder / f"{unit}.root"
        with uproot.open(sample / "events.root") as file:
            columns = file["events"].arrays(entry_stop=N_EVENTS)
        axes = {f"sp_{a}": columns[f"sp_{a}"] * np.float32(PER_MM[unit]) for a in "xyz"}
        with uproot.recreate(path) as file:
            types = {"event": "int64"} | dict.fromkeys(axes, "var * float32")
            file.mktree("events", types)
            file["events"].extend({"event": columns["event"], **axes})
        return path

    return write


@pytest.fixture(scope="module")
def tracks_in_mm(sample):
    return [
        tracks.labels.tolist()
        for _, tracks in track(sample / "events.root", max_events=N_EVENTS)
    ]


@pytest.mark.parametrize("unit", sorted(PER_MM))
def test_the_pipeline_finds_the_same_tracks_in_every_unit(in_unit, tracks_in_mm, unit):
    result = track(in_unit(unit), unit=unit)

    assert [tracks.labels.tolist() for _, tracks in result] == tracks_in_mm


@pytest.mark.parametrize(
    ("given", "unit"), [("um", "mm"), ("m", "cm"), ("cm", "mm"), ("cm", "m")]
)
def test_the_right_unit_is_named_where_a_wrong_one_was_given(
    refused, in_unit, sample, given, unit
):
    events = sample / "events.root" if unit == "mm" else in_unit(unit)

    line = refused("track", events, "-o", "t.root", "--unit", given, status=1)

    assert f"(read as {given}; are these " in line
    assert f'give unit="{unit}" (--unit {unit})' in line


def test_the_command_takes_a_unit_and_evaluation_uses_it_again(
    sonic, in_unit, tracks_in_mm, sample
):
    events = in_unit("cm")

    tracked = sonic("track", events, "-o", "t.root", "--unit", "cm")
    # The truth of the sample is in mm, and has more events.
    compared = sonic("evaluate", "t.root", "--truth", sample / "truth.root")

    assert tracked.exit_code == 0, tracked.output
    found = [event.candidates.labels.tolist() for event in TrackEvents("t.root")]
    assert found == tracks_in_mm
    assert TrackEvents("t.root").provenance["unit"] == "cm"
    assert compared.exit_code == 0, compared.output
    assert "events are in cm, the truth is taken to be in mm" in compared.stderr
    assert "trackml score" in compared.stdout.lower()  # needs positions
    assert "not counted" not in compared.stdout


def test_a_job_in_another_unit_is_not_resumed(sonic, in_unit):
    n_events = iter(range(100))

    def fail_second(tensors):
        if next(n_events) == 1:
            raise ModelError(grpc.StatusCode.INVALID_ARGUMENT, "unlucky")
        return answer(tensors)

    with MockServer([model_of(fail_second)]) as server:
        job = ("track", in_unit("cm"), "-o", "t.root", "--server", server.url)
        failed = sonic(*job, "--unit", "cm", "--window", 1)
        resumed = sonic(*job, "--unit", "m", "--window", 1, "--resume")

    assert failed.exit_code == 1, failed.output
    assert resumed.exit_code == 2, resumed.output
    assert "unit" in resumed.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("track", "{events}", "-o", "t.root"),
        ("train", "--events", "{events}", "--truth", "{events}", "-o", "w"),
        ("bench", "pipeline", "--input", "{events}"),
        ("bench", "export", "--input", "{events}", "-o", "e.json"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_every_command_that_reads_events_takes_a_unit(refused, sample, command):
    words = [word.format(events=sample / "events.root") for word in command]

    line = refused(*words, "--unit", "meter", status=2)

    assert "unknown unit of length 'meter', there are: 'mm', 'cm'" in line


def test_a_recording_sends_events_in_mm(sonic, in_unit):
    radii = []

    def keep(tensors):
        radii.append(tensors["FEATURES"][:, 0].max())
        return answer(tensors)

    with MockServer([model_of(keep)]) as server:
        result = sonic(
            *("record", "--server", server.url, "--models", "exatrkx", "-o", "c"),
            *("--requests", in_unit("m"), "--unit", "m"),
        )

    assert result.exit_code == 0, result.output
    assert max(radii) > 0.9  # the detector ends at 1020 mm
