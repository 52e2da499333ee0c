"""`sonic track`: what it leaves in its files."""

import json

import awkward as ak
import numpy as np
import uproot

from exatrkx_pipeline import load_weights
from mock_server import MockServer
from mock_server.tracking import tracking_models
from producers import FeatureScale, TrackEvents, node_features, open_events

N_EVENTS = 4


def labels_in(path):
    return [track.candidates.labels for track in TrackEvents(path)]


def test_labels_are_the_pipelines_own_in_input_order(sonic, sample, weights, tmp_path):
    pipeline = load_weights(weights)
    scale = FeatureScale(r_mm=1000.0, phi_rad=np.pi, z_mm=1000.0)

    result = sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--weights", weights, "--max-events", N_EVENTS, "--min-space-points", 1),
    )

    assert result.exit_code == 0, result.output
    found = labels_in(tmp_path / "tracks.root")
    assert len(found) == N_EVENTS
    (chunk,) = open_events(sample / "events.root", max_events=N_EVENTS)
    for event, labels in zip(chunk, found, strict=True):
        expected = pipeline.labels(node_features(event.xyz, scale))
        np.testing.assert_array_equal(labels, expected)


def test_joined_requests_give_the_same_labels(sonic, sample, weights, tmp_path):
    job = ("track", sample / "events.root", "--weights", weights, "--max-events", 5)

    sonic(*job, "-o", "one.root", "--window", 1)
    result = sonic(*job, "-o", "joined.root", "--layout", "concat")

    assert result.exit_code == 0, result.output
    one, joined = labels_in(tmp_path / "one.root"), labels_in(tmp_path / "joined.root")
    assert all(map(np.array_equal, one, joined))


def test_output_has_the_trees_of_the_contract(sonic, sample, weights, tmp_path):
    sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--weights", weights, "--max-events", 3),
    )

    with uproot.open(tmp_path / "tracks.root") as file:
        labels = file["labels"].arrays(["event", "sp_label"])
        candidates = file["candidates"].arrays(["event", "n_space_points"])
    assert labels["event"].tolist() == [0, 1, 2]
    assert candidates["event"].tolist() == [0, 1, 2]
    for label, sizes in zip(
        labels["sp_label"], candidates["n_space_points"], strict=True
    ):
        numbers, counts = np.unique(label[label >= 0], return_counts=True)
        assert numbers.tolist() == list(range(len(sizes)))
        assert counts.tolist() == sizes.tolist()


def test_provenance_says_where_the_tracks_come_from(sonic, sample, weights, tmp_path):
    sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--weights", weights, "--max-events", 1),
    )

    provenance = TrackEvents(tmp_path / "tracks.root").provenance
    assert provenance["inputs"] == [str((sample / "events.root").resolve())]
    assert provenance["weights_id"] == load_weights(weights).weights_id
    assert provenance["model"]["name"] == "exatrkx"
    assert provenance["model"]["parameters"]["score_cut"] == "0.0"
    assert provenance["server"] == "in this process"
    assert provenance["command"].startswith("sonic track ")
    assert {"sonic-tracking", "torch"} <= provenance["versions"].keys()


def test_json_says_where_the_time_goes(sonic, sample, weights, tmp_path):
    sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--weights", weights, "--max-events", 2, "--json", "job.json"),
    )

    report = json.loads((tmp_path / "job.json").read_text())
    assert report["events"] == 2
    assert report["events_per_s"] > 0.0
    assert {"read", "wait", "write"} <= report["time_s"].keys()
    assert {"embedding", "neighbours", "filter", "gnn"} <= report["compute_s"].keys()
    assert report["peak_memory_bytes"] > 0
    assert report["summary"]["tries"] == {"OK": 2}


def test_named_server_is_used_and_named(sonic, sample, weights, tmp_path):
    with MockServer(tracking_models(weights)) as server:
        result = sonic(
            *("track", sample / "events.root", "-o", "tracks.root"),
            *("--server", server.url, "--max-events", 2, "--json", "job.json"),
        )

        assert result.exit_code == 0, result.output
        provenance = TrackEvents(tmp_path / "tracks.root").provenance
        assert provenance["server"] == server.url
        assert "torch" not in provenance["versions"]  # the server's, not known here
    assert json.loads((tmp_path / "job.json").read_text())["compute_s"] is None


def test_empty_event_is_an_answer(sonic, weights, tmp_path):
    with uproot.recreate(tmp_path / "events.root") as file:
        columns = {f"sp_{axis}": "var * float32" for axis in "xyz"}
        file.mktree("events", {"event": "int64", **columns})
        nothing = ak.unflatten(np.empty(0, dtype=np.float32), [0])
        file["events"].extend({"event": [7]} | dict.fromkeys(columns, nothing))

    result = sonic("track", "events.root", "-o", "tracks.root", "--weights", weights)

    assert result.exit_code == 0, result.output
    assert [len(labels) for labels in labels_in(tmp_path / "tracks.root")] == [0]


def test_columns_of_any_name_are_read(sonic, sample, weights, tmp_path):
    with uproot.open(sample / "events.root") as file:
        events = file["events"].arrays([f"sp_{axis}" for axis in "xyz"], entry_stop=2)
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree("hits", dict.fromkeys(("px", "py", "pz"), "var * float32"))
        file["hits"].extend({f"p{axis}": events[f"sp_{axis}"] for axis in "xyz"})
    (tmp_path / "columns.toml").write_text(
        '[columns]\ntree = "hits"\nx = "px"\ny = "py"\nz = "pz"\n'
    )

    result = sonic(
        *("track", "other.root", "-o", "tracks.root", "--weights", weights),
        *("--columns", "columns.toml"),
    )

    assert result.exit_code == 0, result.output
    assert len(labels_in(tmp_path / "tracks.root")) == 2


def test_force_replaces_what_is_there(sonic, sample, weights, tmp_path):
    (tmp_path / "tracks.root").write_text("old")

    result = sonic(
        *("track", sample / "events.root", "-o", "tracks.root", "--force"),
        *("--weights", weights, "--max-events", 1),
    )

    assert result.exit_code == 0, result.output
    assert len(labels_in(tmp_path / "tracks.root")) == 1


def test_feature_csv_gets_one_label_per_row(sonic, weights, tmp_path):
    rows = ["0.032,0.1,0.01", "0.072,0.1,0.02", "0.116,0.1,0.03"]
    (tmp_path / "event_12.csv").write_text("\n".join(rows))

    result = sonic(
        *("track", "event_12.csv", "-o", "tracks.root", "--weights", weights),
        *("--csv-scale", "1000,3.14159265,1000"),
    )

    assert result.exit_code == 0, result.output
    assert [len(labels) for labels in labels_in(tmp_path / "tracks.root")] == [3]


def test_large_radius_events_get_one_label_per_row(
    sonic, shared_data, weights, tmp_path
):
    files = sorted((shared_data / "lrt").glob("*.csv"))

    result = sonic(
        *("track", *files, "-o", "tracks.root", "--weights", weights),
        *("--csv-scale", "1000,3.14159265,1000"),
    )

    assert result.exit_code == 0, result.output
    n_labels = [len(labels) for labels in labels_in(tmp_path / "tracks.root")]
    assert n_labels == [len(file.read_text().splitlines()) for file in files]
