"""Space points under the names, and in the forms, of other people's files."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import (
    ColumnMapping,
    InvalidEventError,
    SchemaError,
    UnreadableFileError,
    open_events,
)
from sonic_base import ConfigError

VECTORS = Path(__file__).parent / "root_files" / "vectors.root"
"""Written by ROOT 6.40; see make_vectors.py beside it."""


def events_of(path, **options):
    return [event for chunk in open_events(path, **options) for event in chunk]


def xyz_of(path, **options):
    return [event.xyz.tolist() for event in events_of(path, **options)]


def write(path, tables):
    """Write TTrees of these columns."""
    with uproot.recreate(path) as file:
        for name, columns in tables.items():
            columns = {k: ak.Array(v) for k, v in columns.items()}  # noqa: PLW2901
            file.mktree(name, {k: v.type.content for k, v in columns.items()})
            file[name].extend(columns)
    return path


def made_by_root():
    """The positions that make_vectors.py writes."""
    return [
        [[30 + 40 * i + event, 2 * i + event, 5 * i - event] for i in range(2 * event)]
        for event in range(3)
    ]


@pytest.mark.parametrize(
    ("tree", "branch"),
    [
        *[("split", name) for name in ("xyzf", "xyz", "pointf", "tvector3", "clones")],
        *[("whole", name) for name in ("xyzf", "xyz", "pointf", "tvector3")],
        ("ntuple", "xyzf"),
    ],
)
@pytest.mark.parametrize("chunk_size", [1, None])
def test_vectors_that_root_writes_are_positions(tree, branch, chunk_size):
    columns = ColumnMapping(tree=tree, position=branch)

    found = xyz_of(VECTORS, columns=columns, chunk_size=chunk_size)

    assert found == made_by_root()


def test_vectors_stored_in_an_unknown_way_are_refused(tmp_path):
    with uproot.open(VECTORS) as file:
        branch = file["whole"]["xyzf"]
        basket = branch.basket(0)
        start = int(branch.member("fBasketSeek")[0]) + branch.basket_key(0).fKeylen
    content = bytearray(VECTORS.read_bytes())
    at = start + int(basket.byte_offsets[1]) + 16  # the first vector of event 1
    assert content[at : at + 4] == bytes([0x40, 0, 0, 18])
    content[at + 3] = 99
    path = tmp_path / "vectors.root"
    path.write_bytes(bytes(content))

    with pytest.raises(UnreadableFileError, match="'xyzf' are stored in a way that ca"):
        events_of(path, columns=ColumnMapping(tree="whole", position="xyzf"))


def test_an_event_number_in_another_tree_is_aligned_by_entry():
    columns = ColumnMapping(tree="split", position="xyzf", event="header/eventNumber")

    found = events_of(VECTORS, columns=columns, chunk_size=2)

    assert [event.event_id for event in found] == [70, 71, 72]


def test_columns_of_two_trees_may_be_mixed(tmp_path, sample):
    """As those of a friend tree in the same file."""
    x, y, z = (sample.column(axis) for axis in range(3))
    path = write(tmp_path / "f.root", {"a": {"x": x, "y": y}, "dir/b": {"z": z}})
    columns = ColumnMapping(tree="a", x="x", y="y", z="dir/b/z")

    assert xyz_of(path, columns=columns) == [each.tolist() for each in sample.xyz]


def test_trees_of_unequal_length_are_refused_before_any_event(tmp_path, sample):
    axes = {name: sample.column(axis) for axis, name in enumerate("xyz")}
    path = write(tmp_path / "f.root", {"hits": axes, "header": {"n": np.arange(4)}})
    columns = ColumnMapping(tree="hits", x="x", y="y", z="z", event="header/n")

    with pytest.raises(SchemaError, match=r"3 entries in 'hits', 4 in 'header'"):
        open_events(path, columns=columns)


def test_a_column_that_another_tree_lacks_is_named(tmp_path, sample):
    axes = {name: sample.column(axis) for axis, name in enumerate("xyz")}
    path = write(tmp_path / "f.root", {"hits": axes, "header": {"n": np.arange(3)}})
    columns = ColumnMapping(tree="hits", x="x", y="y", z="z", event="header/number")

    with pytest.raises(SchemaError, match=r"no column 'header/number' in 'hits'"):
        open_events(path, columns=columns)


def test_the_tree_may_be_left_out_if_only_one_has_the_columns(tmp_path, sample):
    axes = {f"hit_{name}": sample.column(axis) for axis, name in enumerate("xyz")}
    path = write(tmp_path / "f.root", {"other": {"n": np.arange(9)}, "hits": axes})
    columns = ColumnMapping(x="hit_x", y="hit_y", z="hit_z")

    assert xyz_of(path, columns=columns) == [each.tolist() for each in sample.xyz]


@pytest.mark.parametrize("form", ["lists", "rows"])
def test_positions_in_r_phi_z_become_x_y_z(tmp_path, form):
    r, phi, z = [30.0, 70.0], [0.5, -2.0], [5.0, -9.0]
    if form == "lists":
        table = {"r": [r], "phi": [phi], "z": [z], "event": [4]}
    else:
        table = {"r": r, "phi": phi, "z": z, "event": [4, 4]}
    path = write(tmp_path / "f.root", {"hits": table})
    columns = ColumnMapping(r="r", phi="phi", z="z", event="event", unit="cm")

    (found,) = events_of(path, columns=columns)

    expected = [[300 * np.cos(0.5), 300 * np.sin(0.5), 50]]
    expected += [[700 * np.cos(-2.0), 700 * np.sin(-2.0), -90]]
    assert found.event_id == 4
    np.testing.assert_allclose(found.xyz, expected, rtol=1e-6)


@pytest.mark.parametrize("form", ["lists", "rows"])
def test_an_azimuth_in_degrees_is_refused(tmp_path, form):
    r, phi, z = [30.0, 70.0, 50.0], [2 * np.pi, -3.1, -114.6], [5.0, -9.0, 1.0]
    if form == "lists":
        splits = {"r": [r[:1], r[1:]], "phi": [phi[:1], phi[1:]], "z": [z[:1], z[1:]]}
        table = {**splits, "event": [4, 5]}
    else:
        table = {"r": r, "phi": phi, "z": z, "event": [4, 5, 5]}
    path = write(tmp_path / "f.root", {"hits": table})
    columns = ColumnMapping(r="r", phi="phi", z="z", event="event")

    with pytest.raises(
        InvalidEventError,
        match=r"event 5 \(entry 1\): phi of space point 1 is -114.6, expected radians",
    ):
        events_of(path, columns=columns)


def test_an_infinite_azimuth_is_refused(tmp_path):
    table = {"r": [[1.0]], "phi": [[np.inf]], "z": [[0.0]]}
    path = write(tmp_path / "f.root", {"hits": table})

    with pytest.raises(InvalidEventError, match="x of space point 0 is nan"):
        events_of(path, columns=ColumnMapping(r="r", phi="phi", z="z"))


@pytest.mark.parametrize("form", ["ttree", "rntuple"])
def test_a_table_of_one_row_a_point_needs_no_format(tmp_path, form):
    columns = {"evt": [7, 7, 9], "hx": [1.0, 2.0, 3.0]}
    columns |= {"hy": [0.0, 0.0, 0.0], "hz": [4.0, 5.0, 6.0]}
    path = tmp_path / "f.root"
    with uproot.recreate(path) as file:
        make = file.mktree if form == "ttree" else file.mkrntuple
        make("hits", dict.fromkeys(columns, "float64") | {"evt": "int64"})
        file["hits"].extend({k: np.array(v) for k, v in columns.items()})
    mapping = ColumnMapping(event="evt", x="hx", y="hy", z="hz")

    found = events_of(path, columns=mapping)

    assert [event.event_id for event in found] == [7, 9]
    assert found[0].xyz.tolist() == [[1.0, 0.0, 4.0], [2.0, 0.0, 5.0]]


def test_rows_without_the_number_of_their_event_are_refused(tmp_path):
    path = write(tmp_path / "f.root", {"hits": {name: [1.0] for name in "xyz"}})

    with pytest.raises(SchemaError, match=r"rows need the number of their event"):
        open_events(path, columns=ColumnMapping(x="x", y="y", z="z"))


def test_records_of_an_rntuple_and_of_parquet_are_vectors(write_ntuple, sample):
    found = xyz_of(write_ntuple(), columns=ColumnMapping(position="sp"))

    assert found == [each.tolist() for each in sample.xyz]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "need the columns x, y, z; or r, phi, z; or position; got none of them"),
        ({"x": "a", "y": "b"}, "got x, y"),
        ({"x": "a", "y": "b", "z": "c", "r": "d"}, "got x, y, z, r"),
        ({"position": "a", "x": "b"}, "got x, position"),
        ({"r": "a", "phi": "a", "z": "c"}, "r, phi and z must be three columns"),
    ],
)
def test_coordinates_that_give_no_position_are_refused(keys, expected):
    with pytest.raises(ConfigError, match=expected):
        ColumnMapping(**keys)
