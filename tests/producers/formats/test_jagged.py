"""Space points out of ROOT files, against independent reading with plain uproot."""

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers import ColumnMapping, NoEventsError, open_events

SHARED_FORMS = ["spacepoints_ttree.root", "spacepoints_rntuple.root"]


def events_of(source):
    return [event for chunk in source for event in chunk]


def assert_is_sample(events, sample):
    assert [event.event_id for event in events] == list(sample.event_ids)
    for event, xyz in zip(events, sample.xyz, strict=True):
        np.testing.assert_array_equal(event.xyz, xyz)


def test_a_tree_gives_its_events_in_order(write_tree, sample):
    path = write_tree()

    source = open_events(path)

    assert len(source) == 3
    assert source.names == (str(path),)
    assert_is_sample(events_of(source), sample)


def test_an_ntuple_of_records_gives_its_events_in_order(write_ntuple, sample):
    assert_is_sample(events_of(open_events(write_ntuple())), sample)


def test_the_layout_is_recognised_whatever_the_tree_is_called(write_tree, sample):
    assert_is_sample(events_of(open_events(write_tree(tree="hits"))), sample)


def test_points_are_float32_and_know_where_they_come_from(write_tree):
    path = write_tree()

    (first, second, _) = events_of(open_events(str(path)))

    assert first.xyz.dtype == np.float32
    assert (first.source, first.entry) == (path, 0)
    assert (second.entry, len(second)) == (1, 0)


def test_doubles_are_read_as_float32(write_tree, sample):
    doubles = {
        f"sp_{axis}": ak.values_astype(sample.column(i), np.float64)
        for i, axis in enumerate("xyz")
    }

    assert_is_sample(events_of(open_events(write_tree(**doubles))), sample)


def test_a_mapping_finds_columns_of_any_name(write_tree, sample):
    renamed = {name: sample.column(i) for i, name in enumerate(("a", "b", "c"))}
    modules = ak.Array([[1, 2, 3], [], [4, 5, 6, 7]])
    path = write_tree(tree="DumpObjects", module=modules, **renamed)
    columns = ColumnMapping(
        tree="DumpObjects", event="event", x="c", y="b", z="a", module="module"
    )

    events = events_of(open_events(path, columns=columns))

    np.testing.assert_array_equal(events[2].xyz, sample.xyz[2][:, ::-1])
    assert events[2].detector["module"].tolist() == [4, 5, 6, 7]


def test_events_are_numbered_by_entry_without_a_column_for_it(write_tree):
    columns = ColumnMapping(tree="events", x="sp_x", y="sp_y", z="sp_z")

    events = events_of(open_events(write_tree(), columns=columns, chunk_size=2))

    assert [event.event_id for event in events] == [0, 1, 2]


def test_several_files_are_read_one_after_another(write_tree, write_ntuple, sample):
    source = open_events([write_tree(), write_ntuple()])

    events = events_of(source)

    assert len(source) == 6
    assert_is_sample(events[:3], sample)
    assert_is_sample(events[3:], sample)
    assert [event.entry for event in events] == [0, 1, 2, 0, 1, 2]


def test_max_events_counts_over_all_files(write_tree, write_ntuple):
    source = open_events([write_tree(), write_ntuple()], max_events=4)

    assert len(source) == 4
    assert [event.event_id for event in events_of(source)] == [5, 9, 2, 5]


def test_files_after_max_events_are_not_read(write_tree, sample):
    infinite = ak.Array([[np.inf] * count for count in sample.counts])
    bad = write_tree("bad.root", sp_x=infinite)

    source = open_events([write_tree(), bad], max_events=3)

    assert len(events_of(source)) == 3


def test_a_source_can_be_iterated_again(write_tree, sample):
    source = open_events(write_tree())

    assert_is_sample(events_of(source), sample)
    assert_is_sample(events_of(source), sample)


def test_a_file_of_no_entries_is_fine_beside_one_with_events(write_tree, tmp_path):
    with uproot.recreate(tmp_path / "none.root") as file:
        types = {"event": "int64"} | {f"sp_{axis}": "var * float32" for axis in "xyz"}
        file.mktree("events", types)

    assert len(open_events([tmp_path / "none.root", write_tree()])) == 3
    with pytest.raises(NoEventsError, match=r"none\.root: no events"):
        open_events(tmp_path / "none.root")


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    chunk_size=st.integers(1, 13),
)
def test_chunks_of_any_size_hold_the_same_events(tmp_path, counts, chunk_size):
    x = ak.unflatten(np.arange(sum(counts), dtype=np.float32), counts)
    with uproot.recreate(tmp_path / "counted.root") as file:
        file.mktree(
            "events", {"event": "int64"} | {f"sp_{a}": "var * float32" for a in "xyz"}
        )
        file["events"].extend(
            {"event": np.arange(len(counts)), "sp_x": x, "sp_y": -x, "sp_z": 2 * x}
        )

    chunks = list(open_events(tmp_path / "counted.root", chunk_size=chunk_size))

    assert all(len(chunk) == chunk_size for chunk in chunks[:-1])
    events = [event for chunk in chunks for event in chunk]
    assert [event.entry for event in events] == list(range(len(counts)))
    assert [event.xyz[:, 0].tolist() for event in events] == x.tolist()
    assert [event.xyz[:, 1].tolist() for event in events] == (-x).tolist()


@pytest.mark.parametrize("form", SHARED_FORMS)
def test_reference_events_equal_an_independent_read(shared_data, form):
    path = shared_data / "sim_pu0" / form
    expected = uproot.open(path)["events"].arrays()
    if "sp" in expected.fields:
        axes = [expected["sp"][axis] for axis in "xyz"]
    else:
        axes = [expected[f"sp_{axis}"] for axis in "xyz"]

    events = events_of(open_events(path, chunk_size=7))

    assert [event.event_id for event in events] == expected["event"].tolist()
    for entry, event in enumerate(events):
        points = np.column_stack([axis[entry].to_numpy() for axis in axes])
        np.testing.assert_array_equal(event.xyz, points)


def test_both_forms_of_the_reference_events_are_identical(shared_data):
    trees, ntuples = (
        events_of(open_events(shared_data / "sim_pu0" / form)) for form in SHARED_FORMS
    )

    assert len(trees) == len(ntuples) == 20
    for tree, ntuple in zip(trees, ntuples, strict=True):
        assert tree.event_id == ntuple.event_id
        np.testing.assert_array_equal(tree.xyz, ntuple.xyz)


def test_split_members_of_an_edm4hep_file_are_found_by_their_own_name(shared_data):
    path = shared_data / "root_fixtures" / "edm4hep_example.root"
    names = {a: f"TrackerHit3DCollection.position.{a}" for a in "xyz"}

    events = events_of(open_events(path, columns=ColumnMapping(tree="events", **names)))

    expected = uproot.open(path)["events"][names["x"]].array()
    assert [event.xyz[:, 0].tolist() for event in events] == expected.tolist()
