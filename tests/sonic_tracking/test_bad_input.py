"""Bad input ends in one clear line, a status, and no file."""

import awkward as ak
import numpy as np
import pytest
import uproot

from mock_server import MockServer, Model, TensorSpec

XYZ = ("sp_x", "sp_y", "sp_z")
LENGTHS = (3, 5)


def lists(*values_of_events):
    counts = [len(values) for values in values_of_events]
    values = np.concatenate([np.array(values) for values in values_of_events])
    return ak.unflatten(values.astype(np.float32), counts)


def write_events(path, tree="events", **columns):
    """Write two events by default; `columns` replace the defaults."""
    good = {name: lists(*map(np.arange, LENGTHS)) for name in XYZ}
    content = {"event": np.array([40, 41]), **good, **columns}
    content = {name: values for name, values in content.items() if values is not None}
    types = dict.fromkeys(content, "var * float32") | {"event": "int64"}
    with uproot.recreate(path) as file:
        file.mktree(tree, types)
        if len(content["event"]):
            file[tree].extend(content)
    return path


@pytest.fixture
def events(tmp_path):
    return write_events(tmp_path / "events.root")


@pytest.fixture
def track(refused, weights):
    def run(*arguments, status=1):
        return refused(
            "track",
            *arguments,
            "-o",
            "tracks.root",
            "--weights",
            weights,
            status=status,
        )

    return run


def test_missing_file_is_named(track):
    assert "nowhere.root: no such file" in track("nowhere.root")


def test_file_of_another_kind_is_named(track, tmp_path):
    (tmp_path / "notes.root").write_text("hello")

    assert "notes.root: neither a ROOT file" in track("notes.root")


def test_truncated_file_says_how_much_is_there(track, events):
    events.write_bytes(events.read_bytes()[:1000])

    line = track("events.root")

    assert "truncated ROOT file: 1000 bytes of" in line


def test_file_without_space_points_lists_its_trees(track, tmp_path):
    write_events(tmp_path / "e.root", tree="hits", sp_x=None, px=lists([1.0], [2.0]))

    line = track("e.root")

    assert "'hits'" in line
    assert "sp_x" in line


def test_wrong_tree_lists_the_nearest(track, events, tmp_path):
    (tmp_path / "c.toml").write_text(
        '[columns]\ntree = "event"\nx = "sp_x"\ny = "sp_y"\nz = "sp_z"\n'
    )

    line = track("events.root", "--columns", "c.toml")

    assert "'event'" in line
    assert "'events'" in line


def test_wrong_branch_lists_the_nearest(track, events, tmp_path):
    (tmp_path / "c.toml").write_text(
        '[columns]\ntree = "events"\nx = "sp_xx"\ny = "sp_y"\nz = "sp_z"\n'
    )

    line = track("events.root", "--columns", "c.toml")

    assert "'sp_xx'" in line
    assert "'sp_x'" in line


def test_coordinates_of_unequal_length_name_the_event(track, tmp_path):
    write_events(tmp_path / "e.root", sp_z=lists(range(3), range(4)))

    line = track("e.root")

    assert "event 41" in line
    assert "sp_z 4" in line


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=["nan", "infinity"])
def test_coordinate_that_is_no_number_names_the_event(track, tmp_path, value):
    write_events(tmp_path / "e.root", sp_y=lists([0, 1, value], range(5)))

    line = track("e.root")

    assert "event 40" in line
    assert "y of space point 2" in line


def test_file_without_events_is_refused(track, tmp_path):
    write_events(tmp_path / "e.root", event=np.empty(0, dtype=np.int64))

    assert "no events" in track("e.root")


def test_folder_that_does_not_exist_is_named(refused, events):
    line = refused("track", events, "-o", "nowhere/tracks.root", status=1)

    assert "folder 'nowhere' does not exist" in line


def test_output_that_exists_is_kept(refused, events, tmp_path):
    (tmp_path / "tracks.root").write_text("precious")

    line = refused("track", events, "-o", "tracks.root", status=1)

    assert "--force" in line
    assert (tmp_path / "tracks.root").read_text() == "precious"


def test_input_is_never_the_output(refused, events):
    content = events.read_bytes()

    line = refused("track", events, "-o", events, "--force", status=2)

    assert "is an input" in line
    assert events.read_bytes() == content


def test_two_outputs_of_one_name_are_refused(refused, events):
    line = refused("track", events, "-o", "a.root", "--json", "a.root", status=2)

    assert "json a.root: is output already" in line


def test_server_that_cannot_be_reached_is_named(refused, events):
    address = "grpc://127.0.0.1:1"  # a port that nothing may listen on unprivileged

    line = refused("track", events, "-o", "t.root", "--server", address, status=1)

    assert address in line


def test_address_that_is_none_says_what_is_expected(refused, events):
    line = refused("track", events, "-o", "t.root", "--server", "http://h", status=2)

    assert "grpc://host:port" in line


def test_model_with_other_tensors_is_refused(refused, events):
    x, y = TensorSpec("X", "FP32", (-1,)), TensorSpec("Y", "FP32", (-1,))
    other = Model("exatrkx", [x], [y], lambda tensors: {"Y": tensors["X"]})

    with MockServer([other]) as server:
        line = refused(
            "track", events, "-o", "t.root", "--server", server.url, status=2
        )

    assert "expected input FEATURES FP32[-1,3]" in line
    assert "X FP32[-1]" in line


def test_model_that_does_not_exist_is_named(track, events):
    line = track(events, "--model", "exatrk", status=2)

    assert "unknown model 'exatrk' of the server in this process" in line
    assert "nearest: 'exatrkx'" in line


def test_layout_that_the_model_cannot_take_is_refused(track, events):
    line = track(events, "--layout", "concat", "--model", "exatrkx", status=2)

    assert "ROW_SPLITS" in line


def test_weights_of_a_server_cannot_be_chosen(track, events):
    line = track(events, "--server", "grpc://127.0.0.1:1", status=2)

    assert "weights are for" in line


def test_folder_without_weights_is_named(refused, events, tmp_path):
    line = refused("track", events, "-o", "t.root", "--weights", tmp_path, status=1)

    assert str(tmp_path) in line


def test_csv_without_scale_is_refused(track, tmp_path):
    (tmp_path / "event.csv").write_text("0.1,0.2,0.3\n")

    assert "scale" in track("event.csv", status=2)


@pytest.mark.parametrize("scale", ["1000", "a,b,c", "1000,3.14,-1"])
def test_scale_that_is_none_is_refused(track, events, scale):
    assert "scale" in track(events, "--csv-scale", scale, status=2)


def test_a_file_without_tracks_is_not_evaluated(refused, sample):
    line = refused(
        *("evaluate", sample / "events.root", "--truth", sample / "truth.root"),
        status=1,
    )

    assert "not a file of tracks: no TTree or RNTuple 'labels'" in line
    assert line.endswith("give the output of sonic track")
