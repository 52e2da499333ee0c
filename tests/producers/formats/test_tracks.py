"""Tracks in every output format: written, and read back by others and by us."""

import gzip
import json
import re
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers import (
    CandidateChunk,
    ChunkResult,
    DuplicateEventError,
    Event,
    EventChunk,
    EventFailedError,
    InvalidEventError,
    OutputExistsError,
    SchemaError,
    TrackCandidates,
    TrackEvents,
    TracksInMemory,
    TrackWriter,
    UnreadableFileError,
)
from sonic_client import ConfigError

INFO = ("name", "collectionID")
READABLE = {"ttree": "t.root", "rntuple": "t.root", "parquet": "t.parquet"}


def chunk_of(labels_by_event, event_ids=None, first_entry=0):
    """Events with these labels; points lie ever further out."""
    splits = np.concatenate(([0], np.cumsum([len(each) for each in labels_by_event])))
    xyz = np.zeros((splits[-1], 3), dtype=np.float32)
    xyz[:, 0] = np.arange(splits[-1]) + 1
    numbers = np.arange(len(labels_by_event)) if event_ids is None else event_ids
    return EventChunk(
        event_ids=np.asarray(numbers, dtype=np.int64),
        row_splits=splits.astype(np.int64),
        xyz=xyz,
        source=Path("events.root"),
        first_entry=first_entry,
    )


def result_of(labels_by_event, failed=(), policy="fill", event_ids=None):
    chunk = chunk_of(labels_by_event, event_ids)
    labels = np.concatenate([np.asarray(each, np.int64) for each in labels_by_event])
    is_failed = np.isin(np.arange(len(chunk)), failed)
    labels[np.repeat(is_failed, np.diff(chunk.row_splits))] = -1
    candidates = CandidateChunk.from_components(labels, chunk.xyz, chunk.row_splits)
    failures = [
        EventFailedError(
            event_id=int(chunk.event_ids[index]),
            entry=index,
            source="events.root",
            reason="queue\nfull",
            producer="exatrkx",
            servers=("grpc://a:1", "grpc://b:2"),
        )
        for index in failed
    ]
    return ChunkResult(
        chunk=chunk,
        events=list(chunk),
        products={"exatrkx": candidates},
        is_failed=is_failed,
        failures=tuple(failures),
        on_failure=policy,
    )


def write(path, *results, provenance=None, **options):
    with TrackWriter(path, provenance or {}, **options) as writer:
        for result in results:
            writer.write_result(result)


@pytest.mark.parametrize("form", READABLE)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.lists(st.integers(-1, 4), max_size=8).map(
            lambda labels: np.array(labels, dtype=np.int64)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_tracks_come_back_as_they_were(tmp_path, form, labels_by_event):
    path = tmp_path / READABLE[form]
    result = result_of(labels_by_event)

    write(path, result, result, format=form, force=True, provenance={"model": "m"})

    tracks = TrackEvents(path)
    assert tracks.provenance == {"model": "m"}
    assert len(tracks) == 2 * len(labels_by_event)
    expected = [*result.products["exatrkx"]] * 2
    ids = [*result.chunk.event_ids.tolist()] * 2
    for track, wanted, event_id in zip(tracks, expected, ids, strict=True):
        assert track.event_id == event_id
        assert not track.is_failed
        for name in ("labels", "row_splits", "space_points"):
            read = getattr(track.candidates, name)
            assert read.tolist() == getattr(wanted, name).tolist()


@pytest.mark.parametrize("form", READABLE)
@pytest.mark.parametrize(
    ("policy", "labels"), [("fill", [-1, -1]), ("skip", [])], ids=["fill", "skip"]
)
def test_a_failed_event_is_masked(tmp_path, form, policy, labels):
    path = tmp_path / READABLE[form]

    write(path, result_of([[0, 0, 1], [1, 1], [2]], [1], policy), format=form)

    events = list(TrackEvents(path))
    assert [event.is_failed for event in events] == [False, True, False]
    assert events[1].candidates.labels.tolist() == labels
    assert len(events[1].candidates) == 0
    assert events[2].candidates.labels.tolist() == [0]


@pytest.mark.parametrize("form", ["ttree", "rntuple"])
def test_failures_are_a_table_with_their_causes(tmp_path, form):
    write(tmp_path / "t.root", result_of([[0], [1], [2]], [1, 2]), format=form)

    table = uproot.open(tmp_path / "t.root")["failures"].arrays()
    assert table["event"].tolist() == table["entry"].tolist() == [1, 2]
    assert table["source"].tolist() == ["events.root"] * 2
    assert table["producer"].tolist() == ["exatrkx"] * 2
    assert table["cause"].tolist() == ["queue full"] * 2
    assert table["servers"].tolist() == ["grpc://a:1,grpc://b:2"] * 2


@pytest.mark.parametrize("form", ["ttree", "rntuple"])
def test_the_table_of_failures_is_there_if_nothing_failed(tmp_path, form):
    write(tmp_path / "t.root", result_of([[0]]), format=form)

    assert uproot.open(tmp_path / "t.root")["failures"].num_entries == 0


def test_parquet_keeps_failures_in_its_metadata(tmp_path):
    import pyarrow.parquet as pq

    write(tmp_path / "t.parquet", result_of([[0], [1]], [1]))

    metadata = pq.read_metadata(tmp_path / "t.parquet").metadata
    (row,) = json.loads(metadata[b"failures"])
    assert (row["event"], row["cause"]) == (1, "queue full")
    table = pq.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["sp_label"] == [[0], [-1]]
    assert table["is_failed"] == [False, True]


@pytest.mark.parametrize("name", ["sub.csv", "sub.csv.gz"])
def test_a_trackml_submission_has_a_row_a_hit(tmp_path, name):
    path = tmp_path / name

    write(path, result_of([[3, -1, 3], [], [8]], event_ids=[21, 22, 23]))

    content = path.read_bytes()
    text = gzip.decompress(content) if name.endswith("gz") else content
    assert text.decode().split() == [
        "event_id,hit_id,track_id",
        *("21,1,1", "21,2,0", "21,3,1"),
        "23,1,1",
    ]


@pytest.mark.parametrize(
    ("policy", "rows"), [("fill", ["8,1,0"]), ("skip", [])], ids=["fill", "skip"]
)
def test_failures_that_have_no_place_in_the_file_are_beside_it(tmp_path, policy, rows):
    result = result_of([[0], [1]], [1], policy, event_ids=[7, 8])

    write(tmp_path / "sub.csv", result)

    assert (tmp_path / "sub.csv").read_text().split()[2:] == rows
    (row,) = json.loads((tmp_path / "sub.csv.failures.json").read_text())
    assert (row["event"], row["cause"]) == (8, "queue full")
    assert row["servers"] == "grpc://a:1,grpc://b:2"


def test_a_file_of_failures_belongs_to_its_output(tmp_path):
    write(tmp_path / "sub.csv", result_of([[0], [1]], [1]))
    (tmp_path / "sub.csv").unlink()

    with pytest.raises(OutputExistsError, match=r"sub\.csv\.failures\.json"):
        write(tmp_path / "sub.csv", result_of([[0]]))
    write(tmp_path / "sub.csv", result_of([[0]]), force=True)

    assert [path.name for path in tmp_path.iterdir()] == ["sub.csv"]


def test_a_submission_cannot_hold_two_events_of_one_number(tmp_path):
    with pytest.raises(DuplicateEventError, match="event 5 is there twice"):
        write(
            tmp_path / "sub.csv",
            result_of([[0]], event_ids=[5]),
            result_of([[0]], event_ids=[5]),
        )

    assert not (tmp_path / "sub.csv").exists()


def test_edm4hep_tracks_refer_to_their_hits(tmp_path):
    path = tmp_path / "t.edm4hep.root"

    write(path, result_of([[1, 0, 1, 0, 0], [-1], [0, 0]], event_ids=[4, 5, 6]))

    events = uproot.open(path)["events"].arrays()
    assert events["EventHeader"]["eventNumber"].tolist() == [[4], [5], [6]]
    tracks, hits = events["Tracks"], events["_Tracks_trackerHits"]["index"]
    assert tracks["trackerHits_begin"].tolist() == [[0, 2], [], [0]]
    assert tracks["trackerHits_end"].tolist() == [[2, 5], [], [2]]
    assert hits.tolist() == [[0, 2, 1, 3, 4], [], [0, 1]]


def members_of(table, collection):
    """Names and types of the members, in order, whatever wrote the file."""
    prefix = f"{collection}."
    own = [name for name in names_in(table) if prefix in name]
    return [
        (name.rpartition(prefix)[2], re.sub(r"std::|\[\]$", "", table[name].typename))
        for name in own
    ]


def names_in(table, **options):
    return list(table.keys(**options))


def test_edm4hep_tracks_have_the_members_that_podio_writes(tmp_path, shared_data):
    fixture = shared_data / "root_fixtures" / "edm4hep_example.root"
    write(tmp_path / "t.edm4hep.root", result_of([[0, 0]]))

    with (
        uproot.open(tmp_path / "t.edm4hep.root") as own,
        uproot.open(fixture) as podio,
    ):
        events, known = own["events"], podio["events"]
        for name in ("EventHeader", "Tracks"):
            expected = members_of(known, name.replace("Tracks", "TrackCollection"))
            assert members_of(events, name) == expected
        tops = {name.partition(".")[0] for name in names_in(events)}
        of_podio = names_in(known, recursive=False)
        assert tops == {
            name.replace("TrackCollection", "Tracks")
            for name in of_podio
            if re.match("_?(TrackCollection|EventHeader|GP)", name)
        }
        for name in [each for each in of_podio if each.startswith("GP")]:
            mine, theirs = (
                each[name].typename.replace("std::", "") for each in (events, known)
            )
            assert mine == theirs


def murmur3(text):
    """MurmurHash3_x86_32 by Austin Appleby, as podio makes ids of names."""
    key, mask = text.encode(), 2**32 - 1

    def mixed(chunk):
        word = int.from_bytes(chunk, "little") * 0xCC9E2D51 & mask
        return (word << 15 | word >> 17) * 0x1B873593 & mask

    hashed = 0
    whole = len(key) // 4 * 4
    for start in range(0, whole, 4):
        hashed ^= mixed(key[start : start + 4])
        hashed = ((hashed << 13 | hashed >> 19) * 5 + 0xE6546B64) & mask
    hashed ^= mixed(key[whole:]) ^ len(key)
    hashed = (hashed ^ hashed >> 16) * 0x85EBCA6B & mask
    hashed = (hashed ^ hashed >> 13) * 0xC2B2AE35 & mask
    return hashed ^ hashed >> 16


def test_podio_finds_its_collections_in_an_edm4hep_file(tmp_path):
    path = tmp_path / "t.edm4hep.root"

    write(path, result_of([[1, 0, 1, 0, 0]]))

    with uproot.open(path) as file:
        (metadata,) = file["podio_metadata"].arrays()
        (event,) = file["events"].arrays()
    info = metadata["events___CollectionTypeInfo"]
    assert info["name"].tolist() == ["EventHeader", "Tracks"]
    assert info["collectionID"].tolist() == [murmur3("EventHeader"), murmur3("Tracks")]
    assert info["dataType"].tolist()[1] == "edm4hep::TrackCollection"
    assert metadata["availableCategories"].tolist() == ["events"]
    assert metadata["PodioBuildVersion"].tolist() == [1, 7, 0]
    hits = set(event["_Tracks_trackerHits"]["collectionID"].tolist())
    assert hits == {murmur3("TrackerHits")}


def test_ids_of_collections_are_those_of_podio(shared_data):
    path = shared_data / "root_fixtures" / "edm4hep_example.root"
    info = uproot.open(path)["podio_metadata"]["events___CollectionTypeInfo"].array()[0]

    names, ids = (info[f"events___CollectionTypeInfo.{k}"] for k in INFO)

    assert ids.tolist() == [murmur3(name) for name in names.tolist()]


def test_causes_are_parameters_of_an_edm4hep_event(tmp_path):
    path = tmp_path / "t.edm4hep.root"

    write(path, result_of([[0], [1], [2]], [1, 2], event_ids=[7, 8, 9]))

    with uproot.open(path) as file:
        events = file["events"].arrays()
        listed = json.loads(str(file["failures"]))
    assert events["GPStringKeys"].tolist() == [[], ["failure"], ["failure"]]
    assert events["GPStringValues"].tolist() == [[], [["queue full"]], [["queue full"]]]
    assert [row["event"] for row in listed] == [8, 9]


def test_tracks_in_memory_are_an_array(tmp_path):
    sink = TracksInMemory()
    sink.write_result(result_of([[3, -1, 3], [7]], [1], "skip", event_ids=[9, 8]))
    sink.write_result(result_of([[]], event_ids=[7]))

    array = sink.array()

    assert array.to_list() == [
        {"event": 9, "sp_label": [0, -1, 0], "candidates": [[0, 2]]},
        None,
        {"event": 7, "sp_label": [], "candidates": []},
    ]
    assert [failure.event_id for failure in sink.failures] == [8]


def test_the_suffix_says_the_format(tmp_path):
    write(tmp_path / "a.parquet", result_of([[0]]))

    assert (tmp_path / "a.parquet").read_bytes().startswith(b"PAR1")
    with pytest.raises(ConfigError, match=r"a\.txt: the suffix says no format"):
        TrackWriter(tmp_path / "a.txt", {})
    with pytest.raises(ConfigError, match=r"'parket', .*'parquet'"):
        TrackWriter(tmp_path / "a.root", {}, format="parket")


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path):
    path = tmp_path / "t.root"
    write(path, result_of([[0]]))

    with pytest.raises(OutputExistsError):
        write(path, result_of([[0], [1]]))
    assert len(TrackEvents(path)) == 1
    write(path, result_of([[0], [1]]), force=True)
    assert len(TrackEvents(path)) == 2


def test_candidates_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "t.root"
    with uproot.recreate(path) as file:
        file.mktree("labels", {"event": "int64", "sp_label": "var * int64"})
        lists = {"n_space_points": "var * int64", "sp_index": "var * int64"}
        file.mktree("candidates", {"event": "int64"} | lists)
        numbers = np.array([4, 5])
        file["labels"].extend({"event": numbers, "sp_label": ak.Array([[0], [0, 0]])})
        file["candidates"].extend(
            {
                "event": numbers,
                "n_space_points": ak.Array([[1], [2]]),
                "sp_index": ak.Array([[0], [0, 2]]),
            }
        )

    with pytest.raises(InvalidEventError, match=r"event 5 \(entry 1\): its candidates"):
        list(TrackEvents(path))


def event(n_points, event_id=4):
    xyz = np.arange(3 * n_points, dtype=np.float32).reshape(n_points, 3)
    return Event(event_id=event_id, xyz=xyz, source=Path("events.root"), entry=0)


def candidates_of(labels, n_points):
    return TrackCandidates.from_components(np.array(labels), event(n_points).xyz)


def write_events(path, *events, provenance=None):
    with TrackWriter(path, provenance or {}) as writer:
        for item, candidates in events:
            writer.write(item, candidates)


def test_the_tracks_file_keeps_its_contract(tmp_path):
    path = tmp_path / "tracks.root"
    found = candidates_of([7, -1, 7, 2], 4)
    provenance = {"model": "exatrkx", "input_files": ["events.root"]}

    write_events(path, (event(4), found), (event(0, 9), None), provenance=provenance)

    file = uproot.open(path)
    labels, candidates = file["labels"].arrays(), file["candidates"].arrays()
    assert labels["event"].tolist() == candidates["event"].tolist() == [4, 9]
    assert labels["sp_label"].tolist() == [[0, -1, 0, 1], []]
    assert candidates["n_space_points"].tolist() == [[2, 1], []]
    assert candidates["sp_index"].tolist() == [[0, 2, 3], []]
    assert str(labels["sp_label"].type) == "2 * var * int32"
    assert json.loads(str(file["provenance"])) == provenance


def test_a_failed_event_is_written_with_every_point_on_no_candidate(tmp_path):
    path = tmp_path / "tracks.root"

    write_events(path, (event(3), None))

    assert uproot.open(path)["labels"]["sp_label"].array().tolist() == [[-1, -1, -1]]


def test_provenance_may_grow_until_the_end(tmp_path):
    with TrackWriter(tmp_path / "tracks.root", {"model": "exatrkx"}) as writer:
        writer.provenance["failed_events"] = [3]

    provenance = TrackEvents(tmp_path / "tracks.root").provenance
    assert provenance == {"model": "exatrkx", "failed_events": [3]}


def test_provenance_that_json_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_events(tmp_path / "tracks.root", provenance={"model": object()})

    assert list(tmp_path.iterdir()) == []


def test_labels_of_another_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="event 4: 3 labels for 4 space points"):
        write_events(tmp_path / "tracks.root", (event(4), candidates_of([0, 0, 0], 3)))


def test_a_file_without_tracks_is_refused(tmp_path, write_tree):
    with pytest.raises(SchemaError, match="no TTree or RNTuple 'labels'"):
        TrackEvents(write_tree())


def test_broken_provenance_is_refused(tmp_path):
    path = tmp_path / "tracks.root"
    write_events(path)
    with uproot.update(path) as file:
        file["provenance"] = "{"

    with pytest.raises(UnreadableFileError, match="provenance"):
        TrackEvents(path)
