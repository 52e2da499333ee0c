"""Every wrong input is found with one clear line that names the file."""

import sys

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import (
    ColumnMapping,
    FeatureScale,
    InputNotFoundError,
    InvalidEventError,
    NoEventsError,
    SchemaError,
    UnreadableFileError,
    open_events,
)
from sonic_client import ConfigError, SonicError

SCALE = FeatureScale(r_mm=1000.0, phi_rad=np.pi, z_mm=1000.0)


def read_all(path, **options):
    return list(open_events(path, **options))


def test_a_missing_file_is_found_before_any_is_opened(write_tree, tmp_path):
    paths = [tmp_path / "a.root", write_tree(), tmp_path / "b.root"]

    with pytest.raises(InputNotFoundError, match=r"a\.root: no such file \(and 1 more"):
        open_events(paths)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x89HDF\r\n\x1a\n"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "events.root"
    path.write_bytes(content)

    with pytest.raises(UnreadableFileError, match=r"events\.root: neither a ROOT"):
        open_events(path)


@pytest.mark.parametrize("kept", [4, 19, 200, 0.5, 0.999])
def test_a_truncated_file_is_refused_before_any_event_is_read(write_tree, kept):
    path = write_tree()
    content = path.read_bytes()
    size = kept if kept > 1 else int(kept * len(content))
    path.write_bytes(content[:size])

    with pytest.raises(UnreadableFileError, match=r"events\.root: truncated ROOT file"):
        open_events(path)


def test_damage_inside_a_file_is_named_where_it_is_met(write_tree):
    path = write_tree()
    with uproot.open(path) as file:
        seek = int(file["events"]["sp_y"].member("fBasketSeek")[0])
    content = bytearray(path.read_bytes())
    content[seek : seek + 100] = b"\xff" * 100
    path.write_bytes(bytes(content))

    source = open_events(path)

    with pytest.raises(UnreadableFileError, match=r"damaged ROOT file.*'events'"):
        list(source)


def test_a_wrong_tree_lists_the_nearest(write_tree):
    columns = ColumnMapping(tree="event", x="sp_x", y="sp_y", z="sp_z")

    with pytest.raises(SchemaError, match=r"no TTree or RNTuple 'event', .*'events'"):
        open_events(write_tree(), columns=columns)


@pytest.mark.parametrize("form", ["tree", "ntuple"])
def test_a_wrong_column_lists_the_nearest(write_tree, write_ntuple, form):
    path = write_tree() if form == "tree" else write_ntuple()
    prefix = "sp_" if form == "tree" else "sp."
    columns = ColumnMapping(
        tree="events", x=f"{prefix}xx", y=f"{prefix}y", z=f"{prefix}z"
    )

    with pytest.raises(SchemaError, match=f"no column '{prefix}xx' .*'{prefix}x'"):
        open_events(path, columns=columns)


@pytest.mark.parametrize("tree", ["events", "hits"])
def test_a_misspelt_column_is_found_without_a_mapping(tmp_path, sample, tree):
    path = tmp_path / "events.root"
    axes = {name: sample.column(i) for i, name in enumerate(["sp_xx", "sp_y", "sp_z"])}
    with uproot.recreate(path) as file:
        file["other"] = {"event": np.arange(3)}
        file.mktree(tree, {"event": "int64"} | dict.fromkeys(axes, "var * float32"))
        file[tree].extend({"event": np.arange(3)} | axes)

    with pytest.raises(SchemaError) as caught:
        open_events(path)

    assert str(caught.value) == (
        f"{path}: tree {tree!r} has no column 'sp_x' (nearest: 'sp_xx', 'nsp_xx', "
        "'sp_y'); name its columns (--columns)"
    )


def test_a_misspelt_column_of_records_is_found_without_a_mapping(tmp_path, sample):
    path = tmp_path / "events.root"
    axes = {name: sample.column(i) for i, name in enumerate(["x", "y", "zz"])}
    with uproot.recreate(path) as file:
        file["events"] = {"event": np.arange(3), "sp": ak.zip(axes)}

    with pytest.raises(SchemaError, match=r"'events' has no column 'sp\.z' .*'sp\.zz'"):
        open_events(path)


def test_a_missing_column_is_named_without_a_mapping(tmp_path, sample):
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        file.mktree("events", {"sp_x": "var * float32", "sp_y": "var * float32"})
        file["events"].extend({"sp_x": sample.column(0), "sp_y": sample.column(1)})

    with pytest.raises(
        SchemaError, match=r"no column 'event' .*, no column 'sp_z' .*'sp_x', 'sp_y'"
    ):
        open_events(path)


def test_a_tree_of_nearly_the_known_name_is_compared(tmp_path):
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        file["event"] = {"x": np.zeros(3), "y": np.zeros(3), "z": np.zeros(3)}

    with pytest.raises(
        SchemaError, match=r"'event' has .*no column 'sp_x' \(nearest: 'x'\)"
    ):
        open_events(path)


def test_an_unknown_layout_says_what_was_looked_for(write_tree):
    path = write_tree()
    with uproot.recreate(path) as file:
        file["hits"] = {"x": np.zeros(3)}

    with pytest.raises(SchemaError, match=r"sp_x, .*\(trees: 'hits'\)"):
        open_events(path)


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("sp_x", np.zeros(3), "a list of numbers per entry, got float64"),
        ("event", ak.Array([[1], [2], [3]]), "an integer per entry, got var"),
        ("event", np.zeros(3), "an integer per entry, got float64"),
        ("sp_x", np.zeros((3, 4), dtype=bool), "a list of numbers per entry, got 4"),
    ],
    ids=["flat", "listed-event", "float-event", "boolean"],
)
def test_a_column_of_the_wrong_form_is_refused(write_tree, column, values, expected):
    path = write_tree(**{column: values})

    with pytest.raises(SchemaError, match=f"column '{column}' .*expected {expected}"):
        open_events(path)


def test_coordinates_of_unequal_length_name_the_event(write_tree, sample):
    y = ak.Array([[0.0] * 3, [], [0.0] * 5])

    with pytest.raises(
        InvalidEventError, match=r"event 2 \(entry 2\): .*sp_x 4, sp_y 5, sp_z 4"
    ):
        read_all(write_tree(sp_y=y))


def test_shifted_coordinates_of_equal_total_length_are_refused(write_tree):
    y = ak.Array([[0.0] * 2, [0.0], [0.0] * 4])

    with pytest.raises(InvalidEventError, match=r"event 5 .*sp_x 3, sp_y 2"):
        read_all(write_tree(sp_y=y))


@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "nan"), (-np.inf, "-inf"), (1e300, "inf")]
)
@pytest.mark.parametrize("chunk_size", [None, 1])
def test_a_coordinate_that_is_not_finite_names_event_and_file(
    write_tree, value, shown, chunk_size
):
    z = ak.Array([[0.0] * 3, [], [0.0, 0.0, value, 0.0]])
    path = write_tree(sp_z=z)

    with pytest.raises(InvalidEventError) as caught:
        read_all(path, chunk_size=chunk_size)

    expected = f"event 2 (entry 2): z of space point 2 is {shown}"
    assert str(caught.value).startswith(f"{path}: {expected}")
    assert (caught.value.event_id, caught.value.entry) == (2, 2)


def test_an_event_number_beyond_int64_is_refused(write_tree):
    ids = np.array([1, 2**63, 3], dtype=np.uint64)

    with pytest.raises(InvalidEventError, match="does not fit a signed 64-bit"):
        read_all(write_tree(event=ids))


def test_a_file_given_twice_is_refused(write_tree):
    path = write_tree()

    with pytest.raises(ConfigError, match="given twice"):
        open_events([path, path.parent / ".." / path.parent.name / path.name])


def test_no_files_are_no_events():
    with pytest.raises(NoEventsError, match="no input files"):
        open_events([])


@pytest.mark.parametrize("option", ["max_events", "chunk_size"])
def test_numbers_below_one_are_refused(write_tree, option):
    with pytest.raises(ConfigError, match=f"{option} must be at least 1, got 0"):
        open_events(write_tree(), **{option: 0})


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UnreadableFileError, match="is a folder"):
        open_events(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1,0.2\n", "expected 3 columns"),
        ("0.1,0.2,0.3\n0.1,oops,0.3\n", "not a feature csv: could not convert"),
        ("0.1,0.2,0.3\n0.1,0.2\n", "not a feature csv"),
        ("0.1,0.2,0.3\n0.1,nan,0.3\n", r"event 4 \(entry 0\): phi of space point 1"),
    ],
    ids=["columns", "text", "ragged", "nan"],
)
def test_a_csv_that_is_no_feature_csv_is_refused(tmp_path, text, expected):
    path = tmp_path / "evt_4.csv"
    path.write_text(text)

    with pytest.raises(SonicError, match=rf"evt_4\.csv: {expected}"):
        read_all(path, csv_scale=SCALE)


def test_a_csv_without_a_scale_is_refused(tmp_path):
    path = tmp_path / "evt_4.csv"
    path.write_text("0.1,0.2,0.3\n")

    with pytest.raises(ConfigError, match="does not say its scale"):
        open_events(path)


def test_files_of_two_formats_are_refused(write_tree, tmp_path, sample):
    path = tmp_path / "one.npy"
    np.save(path, sample.xyz[0])

    with pytest.raises(
        SchemaError, match=r"one\.npy: its format is numpy, that of .*is jagged"
    ):
        open_events([write_tree(), path])


def test_two_layouts_of_one_format_may_be_mixed(write_tree, write_ntuple):
    source = open_events([write_tree(), write_ntuple()])

    assert [chunk.event_ids.tolist() for chunk in source] == [[5, 9, 2]] * 2


def test_a_column_that_a_later_file_lacks_is_named_before_any_event(
    write_tree, tmp_path, sample
):
    columns = ColumnMapping(
        tree="events", x="sp_x", y="sp_y", z="sp_z", volume="volume"
    )
    ids = ak.values_astype(sample.column(0), np.int32)
    first = write_tree(volume=ids)
    second = write_tree("second.root")

    with pytest.raises(SchemaError, match=r"second\.root: no column 'volume'"):
        open_events([first, second], columns=columns)


def test_a_column_that_changes_its_type_is_named(write_tree):
    first, second = write_tree(), write_tree("second.root", sp_x=np.zeros(3))

    with pytest.raises(SchemaError, match=r"second\.root: column 'sp_x' .*got float64"):
        open_events([first, second])


def test_an_event_that_is_there_twice_is_named(write_tree):
    path = write_tree(event=np.array([5, 9, 5]))

    with pytest.raises(InvalidEventError, match=r"event 5 \(entry 2\): there is anoth"):
        read_all(path)


@pytest.mark.parametrize("chunk_size", [1, 2])
def test_an_event_that_comes_again_in_a_later_chunk_is_named(write_tree, chunk_size):
    path = write_tree(event=np.array([7, 8, 7]))

    with pytest.raises(InvalidEventError, match=r"event 7 \(entry 2\)"):
        read_all(path, chunk_size=chunk_size)


def test_events_of_one_number_are_read_by_their_entry(write_tree, sample):
    """As in a file of several runs, which hadd has merged."""
    path = write_tree(event=np.array([5, 9, 5]))
    columns = ColumnMapping(x="sp_x", y="sp_y", z="sp_z")

    with pytest.raises(InvalidEventError, match=r"by their entry: a columns file with"):
        read_all(path)
    (chunk,) = read_all(path, columns=columns)

    assert chunk.event_ids.tolist() == [0, 1, 2]


def test_files_may_each_count_from_zero(write_tree):
    paths = [write_tree(), write_tree("second.root")]

    assert [chunk.event_ids.tolist() for chunk in open_events(paths)] == [[5, 9, 2]] * 2


def test_rows_of_one_event_that_are_apart_are_named(tmp_path):
    path = tmp_path / "spacepoints.root"
    rows = {name: np.zeros(4, dtype=np.float32) for name in "xyz"}
    rows["event_id"] = np.array([3, 4, 4, 3], dtype=np.uint32)
    rows["measurement_id"] = np.arange(4, dtype=np.uint64)
    with uproot.recreate(path) as file:
        file.mktree("spacepoints", {k: v.dtype for k, v in rows.items()})
        file["spacepoints"].extend(rows)

    with pytest.raises(InvalidEventError, match=r"event 3 .*do not follow each other"):
        open_events(path)


def test_events_before_a_corrupt_basket_are_read(tmp_path):
    path = tmp_path / "events.root"
    lists = ak.Array([[1.0, 2.0]] * 4)
    with uproot.recreate(path) as file:
        names = ("sp_x", "sp_y", "sp_z")
        file.mktree(
            "events", {"event": "int64"} | dict.fromkeys(names, "var * float32")
        )
        for first in (0, 4, 8):
            block = {"event": np.arange(first, first + 4)} | dict.fromkeys(names, lists)
            file["events"].extend(block)
    with uproot.open(path) as file:
        seek = int(file["events"]["sp_y"].member("fBasketSeek")[1])
    content = bytearray(path.read_bytes())
    content[seek : seek + 60] = b"\xff" * 60
    path.write_bytes(bytes(content))

    chunks = iter(open_events(path, chunk_size=4))

    assert next(chunks).event_ids.tolist() == [0, 1, 2, 3]
    with pytest.raises(UnreadableFileError, match="'events', entries 4 to 8"):
        next(chunks)


@pytest.mark.parametrize("kept", [10, 0.5, 0.99])
def test_a_truncated_parquet_file_is_refused(tmp_path, kept):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "events.parquet"
    lists = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
    names = ("sp_x", "sp_y", "sp_z")
    pq.write_table(pa.table({"event": [1]} | dict.fromkeys(names, lists)), path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept > 1 else int(kept * len(content))])

    with pytest.raises(UnreadableFileError, match="truncated or damaged parquet"):
        open_events(path)


def test_a_parquet_column_of_another_type_is_named(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "events.parquet"
    lists = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
    columns = {"event": [1], "sp_x": [1.0], "sp_y": lists, "sp_z": lists}
    pq.write_table(pa.table(columns), path)

    with pytest.raises(SchemaError, match=r"'sp_x': expected a list .* got double"):
        open_events(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2.0,3.0,4.0,7,2,1\n2,2.0,3.0\n", "damaged csv"),
        ("1,2.0,3.0,x,7,2,1\n", "damaged csv"),
        ("1,2.0,3.0,inf,7,2,1\n", "z of space point 0 is inf"),
    ],
    ids=["cut off", "no number", "infinite"],
)
def test_a_damaged_trackml_file_is_refused(tmp_path, text, expected):
    path = tmp_path / "event000000001-hits.csv"
    path.write_text(f"hit_id,x,y,z,volume_id,layer_id,module_id\n{text}")

    with pytest.raises(SonicError, match=rf"hits\.csv: .*{expected}"):
        read_all(path)


def test_a_truncated_gzip_is_refused(tmp_path):
    import gzip

    rows = "".join(f"{i},{i * 0.37},{i * 1.7},{i},7,2,1\n" for i in range(5000))
    packed = gzip.compress(
        f"hit_id,x,y,z,volume_id,layer_id,module_id\n{rows}".encode()
    )
    path = tmp_path / "event000000001-hits.csv.gz"
    path.write_bytes(packed[:-2000])

    with pytest.raises(UnreadableFileError, match=r"hits\.csv\.gz: damaged csv"):
        read_all(path)


def test_a_truncated_numpy_file_is_refused(tmp_path):
    path = tmp_path / "one.npy"
    np.save(path, np.ones((100, 3)))
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(UnreadableFileError, match=r"one\.npy: truncated numpy file"):
        read_all(path)


def test_damage_in_a_column_that_is_not_needed_is_not_met(write_tree, sample):
    path = write_tree(other=sample.column(0))
    with uproot.open(path) as file:
        seek = int(file["events"]["other"].member("fBasketSeek")[0])
    content = bytearray(path.read_bytes())
    content[seek : seek + 60] = b"\xff" * 60
    path.write_bytes(bytes(content))

    (chunk,) = open_events(path)

    assert chunk.event_ids.tolist() == list(sample.event_ids)


def test_parquet_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "events.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(ConfigError, match=r"pip install 'sonic-tracking\[parquet\]'"):
        open_events(path)
