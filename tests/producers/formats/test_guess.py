"""An error about columns comes with a columns file that is ready, or nearly so."""

import pickle
import tomllib

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import (
    ColumnMapping,
    SchemaError,
    TruthEvents,
    TruthMapping,
    open_events,
)

LISTS = ak.Array([[30.0, 70.0], [31.0]])
EVENTS = np.array([4, 9])


def write(path, tables):
    with uproot.recreate(path) as file:
        for name, columns in tables.items():
            columns = {k: ak.Array(v) for k, v in columns.items()}  # noqa: PLW2901
            file.mktree(name, {k: v.type.content for k, v in columns.items()})
            file[name].extend(columns)
    return path


def lists(*names):
    return {name: LISTS + axis for axis, name in enumerate(names)}


def file_of(path, **options):
    """The columns file that comes with the error."""
    with pytest.raises(SchemaError) as caught:
        open_events(path, **options)
    assert "\n" not in str(caught.value)
    (note,) = caught.value.__notes__
    assert pickle.loads(pickle.dumps(caught.value)).__notes__ == [note]
    assert all(len(line) <= 80 for line in note.splitlines())
    advice, _, text = note.partition("\n\n")
    assert advice.endswith("(--columns columns.toml):")
    return text


def mapping_of(text):
    return tomllib.loads(text)["columns"]


@pytest.mark.parametrize(
    "names",
    [
        ("hit_x", "hit_y", "hit_z"),
        ("x_hit", "y_hit", "z_hit"),
        ("SpacePoint_x", "SpacePoint_y", "SpacePoint_z"),
        ("spx", "spy", "spz"),
        ("SPX", "SPY", "SPZ"),
        ("global_x", "global_y", "global_z"),
        ("hitGlobalX", "hitGlobalY", "hitGlobalZ"),
        ("clusters_r", "clusters_phi", "clusters_z"),
        ("sp_rho", "sp_phi", "sp_z"),
        ("x", "y", "z"),
        ("hx", "hy", "hz"),
    ],
    ids=lambda names: names[0],
)
def test_names_are_read_by_their_meaning(tmp_path, names):
    others = ("hit_charge", "part_vx", "part_vy", "part_vz", "part_px", "part_py")
    others += ("part_pz", "track_x", "track_y", "track_z", "true_x", "true_y", "true_z")
    columns = {"evtNumber": EVENTS, "run": EVENTS} | lists(*others, *names)
    path = write(tmp_path / "f.root", {"Hits": columns, "Meta": {"year": [2026]}})

    text = file_of(path)

    keys = ("r", "phi", "z") if "phi" in names[1] else ("x", "y", "z")
    assert mapping_of(text) == {
        "tree": "Hits",
        "event": "evtNumber",
        **dict(zip(keys, names, strict=True)),
        "unit": "mm",
    }


def test_the_file_can_be_used_as_it_is(tmp_path):
    columns = {"eventNumber": EVENTS} | lists("hit_x", "hit_y", "hit_z")
    path = write(tmp_path / "f.root", {"Hits": columns})
    (tmp_path / "columns.toml").write_text(file_of(path))

    source = open_events(
        path, columns=ColumnMapping.from_toml(tmp_path / "columns.toml")
    )

    (chunk,) = source
    assert chunk.event_ids.tolist() == [4, 9]
    assert chunk.xyz.tolist() == [[30, 31, 32], [70, 71, 72], [31, 32, 33]]


def test_members_of_records_are_a_position(tmp_path):
    position = ak.zip({axis: LISTS for axis in "xyz"})
    with uproot.recreate(tmp_path / "f.root") as file:
        file["tree"] = {"n": EVENTS, "points": ak.zip({"position": position})}

    text = file_of(tmp_path / "f.root")

    assert mapping_of(text)["position"] == "points.position"


def test_a_wrong_name_in_a_columns_file_comes_with_the_right_ones(tmp_path):
    columns = {"eventNumber": EVENTS} | lists("hit_x", "hit_y", "hit_z")
    path = write(tmp_path / "f.root", {"Hits": columns})
    wrong = ColumnMapping(tree="Hits", x="hit_xx", y="hit_y", z="hit_z")

    text = file_of(path, columns=wrong)

    assert mapping_of(text)["x"] == "hit_x"


def test_the_number_of_the_event_may_be_in_another_tree(tmp_path):
    tables = {"hits": lists("x", "y", "z"), "header": {"EventNumber": EVENTS}}
    tables["runs"] = {"event_id": np.arange(5)}
    path = write(tmp_path / "f.root", tables)

    text = file_of(path)

    assert mapping_of(text)["event"] == "header/EventNumber"


def test_a_table_of_one_row_a_point_is_found_and_read(tmp_path):
    rows = {"EventID": [1, 1, 2], "posX": [1.0, 2, 3], "posY": [4.0, 5, 6]}
    rows |= {"posZ": [7.0, 8, 9], "charge": [0.5, 0.5, 0.5]}
    path = write(tmp_path / "f.root", {"hits": rows})
    (tmp_path / "columns.toml").write_text(file_of(path))

    source = open_events(
        path, columns=ColumnMapping.from_toml(tmp_path / "columns.toml")
    )

    (chunk,) = source
    assert chunk.event_ids.tolist() == [1, 2]
    assert chunk.xyz.tolist() == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]


def test_other_candidates_are_listed_in_a_comment(tmp_path):
    names = [f"{what}_{axis}" for what in ("true", "hit", "cluster") for axis in "xyz"]
    path = write(tmp_path / "f.root", {"Hits": lists(*names)})

    text = file_of(path)

    assert mapping_of(text)["x"] == "hit_x"
    assert "# or: cluster_x, cluster_y, cluster_z" in text


def test_candidates_of_another_tree_are_listed_with_its_name(tmp_path):
    path = write(tmp_path / "f.root", {t: lists(*"xyz") for t in ("Pixel", "Strip")})

    text = file_of(path)

    assert mapping_of(text)["tree"] == "Pixel"
    assert '# or: x, y, z of the tree "Strip"' in text


def test_names_that_tell_nothing_are_listed_to_choose_from(tmp_path):
    path = write(
        tmp_path / "f.root", {"T": lists(*(f"long_name_{i}" for i in range(9)))}
    )

    text = file_of(path)

    assert mapping_of(text)["x"] == "?"
    assert "long_name_8" in text


def test_a_parquet_file_gets_one_too(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {f"hit_{axis}": LISTS.to_list() for axis in "xyz"} | {"event_id": [1, 2]}
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")

    text = file_of(tmp_path / "f.parquet")

    assert mapping_of(text) == {
        "event": "event_id",
        **{axis: f"hit_{axis}" for axis in "xyz"},
        "unit": "mm",
    }


def truth_of(path, **options):
    with pytest.raises(SchemaError) as caught:
        TruthEvents(path, **options)
    (note,) = caught.value.__notes__
    assert all(len(line) <= 80 for line in note.splitlines())
    return note.partition("\n\n")[2]


@pytest.mark.parametrize(
    ("point", "names"),
    [
        (
            "hit_particle_id",
            "part_id part_px part_py part_pz part_vx part_vy part_vz part_q",
        ),
        ("hitBarcode", "mcBarcode mcPt mcEta mcPhi mcVx mcVy mcVz mcPdgId"),
        ("sp_truth_id", "true_index true_pt true_eta true_phi true_charge"),
        ("hit_trackID", "trackID px py pz vtx_x vtx_y vtx_z pdgId"),
    ],
)
def test_columns_of_the_truth_are_read_by_their_meaning(tmp_path, point, names):
    ids = ak.values_astype(ak.Array([[1], [2]]), np.int64)
    columns = dict.fromkeys(names.split(), ak.Array([[1.0], [1.0]]))
    for name in columns:
        if name.casefold().endswith(("id", "barcode", "index")):
            columns[name] = ids
    hits = {"event": EVENTS, point: ids, "hit_module": ids, **lists("hit_x")}
    path = write(tmp_path / "f.root", {"hits": hits, "mc": {"event": EVENTS} | columns})
    (tmp_path / "c.toml").write_text(truth_of(path))

    truth = list(TruthEvents(path, columns=TruthMapping.from_toml(tmp_path / "c.toml")))

    mapping = tomllib.loads((tmp_path / "c.toml").read_text())["truth"]
    assert mapping["point_particle"] == point
    assert set(names.split()) <= set(mapping.values())
    assert [event.event_id for event in truth] == [4, 9]
    assert truth[1].particle_id.tolist() == [2]


def test_positions_are_not_taken_for_momenta(tmp_path):
    path = write(tmp_path / "f.root", {"events": lists("sp_x", "sp_y", "sp_z")})

    mapping = tomllib.loads(truth_of(path))["truth"]

    assert mapping["px"] == "?"


def test_columns_of_the_truth_that_nothing_tells_are_left_open(tmp_path):
    path = write(tmp_path / "f.root", {"hits": {"n": EVENTS} | lists("a")})

    mapping = tomllib.loads(truth_of(path))["truth"]

    assert mapping["point_particle"] == mapping["px"] == "?"
