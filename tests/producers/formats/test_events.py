"""Events of every format: points, order and ids are those that were written."""

import shutil

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import ColumnMapping, SchemaError, UnreadableFileError, open_events
from producers.formats.base import ReadOptions
from producers.formats.registry import EVENT_FORMATS, choose_event_format
from producers.io.content import FileContent
from sonic_client import ConfigError


def events_of(source):
    return [event for chunk in source for event in chunk]


def assert_equal(events, event_ids, xyz):
    assert [event.event_id for event in events] == event_ids
    for event, points in zip(events, xyz, strict=True):
        assert event.xyz.dtype == np.float32
        np.testing.assert_array_equal(event.xyz, points)


def test_points_order_and_ids_are_those_that_were_written(written):
    name, sample = written

    recognised = events_of(open_events(sample.paths))
    named = events_of(open_events(sample.paths, format=name))

    assert_equal(recognised, sample.event_ids, sample.xyz)
    assert_equal(named, sample.event_ids, sample.xyz)


def test_exactly_one_format_recognises_the_file(written):
    name, sample = written
    content = FileContent(sample.paths[0])

    found = [
        each.name
        for each in EVENT_FORMATS.values()
        if each.recognises(content, ReadOptions())
    ]

    assert found == [name]
    assert choose_event_format(content, ReadOptions()).name == name


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
def test_chunks_of_any_size_hold_the_same_events_of_a_range(written, chunk_size):
    _, sample = written
    source = open_events(sample.paths, chunk_size=chunk_size)

    for start, stop in [(0, None), (0, 1), (1, 3), (2, None), (3, 3)]:
        part = source.between(start, stop)

        rows = slice(start, stop)
        assert len(part) == len(sample.event_ids[rows])
        assert_equal(events_of(part), sample.event_ids[rows], sample.xyz[rows])


def test_a_file_is_recognised_under_any_name(written, tmp_path):
    _, sample = written
    if len(sample.paths) > 1:
        pytest.skip("the number of the event is in the name")
    path = shutil.copy(sample.paths[0], tmp_path / "data.bin")

    assert_equal(events_of(open_events(path)), sample.event_ids, sample.xyz)


def test_an_unknown_format_lists_the_nearest(write_tree):
    with pytest.raises(ConfigError, match=r"unknown format 'trakml', .*'trackml'"):
        open_events(write_tree(), format="trakml")


def test_a_format_that_the_file_is_not_in_is_refused_by_its_reader(hits, tmp_path):
    path = tmp_path / "one.npy"
    np.save(path, hits.xyz[0])

    with pytest.raises(UnreadableFileError, match=r"one\.npy: not a ROOT file"):
        open_events(path, format="jagged")


def test_a_single_array_is_one_event(hits, tmp_path):
    path = tmp_path / "one.npy"
    np.save(path, hits.xyz[2].astype(np.float64))

    (event,) = events_of(open_events(path))

    assert event.event_id == 0
    np.testing.assert_array_equal(event.xyz, hits.xyz[2])


def test_objects_in_a_numpy_file_are_not_unpickled(tmp_path):
    path = tmp_path / "evil.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(SchemaError, match="expected an array of numbers, got object"):
        open_events(path)


def test_offsets_that_do_not_cut_the_points_are_refused(hits, tmp_path):
    path = tmp_path / "events.npz"
    np.savez(path, xyz=hits.xyz[0], row_splits=np.array([0, 2, 3]))

    with pytest.raises(SchemaError, match="'row_splits' do not cut 4 space points"):
        open_events(path)


def test_both_collections_of_an_edm4hep_tree_are_read(shared_data):
    path = shared_data / "root_fixtures" / "edm4hep_example.root"
    tree = uproot.open(path)["events"]
    names = ("TrackerHit3DCollection", "TrackerHitPlaneCollection")
    expected = [
        ak.concatenate(
            [tree[f"{name}.position.{axis}"].array() for name in names], axis=1
        )
        for axis in "xyz"
    ]

    events = events_of(open_events(path))

    # Its headers have the same number, 42, all of them.
    assert [event.event_id for event in events] == [0, 1, 2]
    assert ak.count(expected[0]) > 0
    for axis, column in enumerate(expected):
        got = [event.xyz[:, axis].tolist() for event in events]
        assert got == ak.values_astype(column, np.float32).tolist()


def test_the_old_layout_of_edm4hep_is_read(shared_data):
    path = shared_data / "root_fixtures" / "coffea_test_FCC_Winter2023.root"
    tree = uproot.open(path)["events"]
    expected = tree["TrackerHits.position.y"].array()

    events = events_of(open_events(path))

    assert len(events) == 100
    got = [event.xyz[:, 1].tolist() for event in events]
    assert got == ak.values_astype(expected, np.float32).tolist()


def test_a_flat_table_of_others_is_read_by_mapping(shared_data):
    path = shared_data / "root_fixtures" / "skhep_uproot-from-geant4.root"
    columns = ColumnMapping(tree="TrackedRays", event="Event", x="phi", y="cot", z="z")

    events = events_of(open_events(path, format="flat", columns=columns))

    rays = uproot.open(path)["TrackedRays"].arrays(library="np")
    assert [event.event_id for event in events] == rays["Event"].tolist()
    xyz = np.column_stack([rays[name] for name in ("phi", "cot", "z")])
    np.testing.assert_array_equal(np.concatenate([e.xyz for e in events]), xyz)


def test_arrays_with_counters_of_others_are_read_by_mapping(shared_data):
    path = shared_data / "root_fixtures" / "skhep_uproot-small-flat-tree.root"
    columns = ColumnMapping(
        event="Int32", x="SliceFloat32", y="SliceFloat64", z="SliceInt64"
    )

    events = events_of(open_events(path, columns=columns, chunk_size=7))

    tree = uproot.open(path)["tree"]
    assert [event.event_id for event in events] == tree["Int32"].array().tolist()
    for axis, name in enumerate(columns.coordinates):
        expected = tree[name].array().tolist()
        assert [event.xyz[:, axis].tolist() for event in events] == expected


def test_the_lists_of_an_rntuple_of_others_are_checked_and_named(shared_data):
    name = "skhep_test_1jag_int_float_rntuple_v1-0-0-0.root"
    columns = ColumnMapping(x="one_v_integers", y="two_v_floats", z="three")

    with pytest.raises(SchemaError, match=r"no column 'three' in 'ntuple'"):
        open_events(shared_data / "root_fixtures" / name, columns=columns)
