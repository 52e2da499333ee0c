"""From a file with unknown columns to tracks, as a user of the command sees it."""

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from producers import TrackEvents


@pytest.fixture
def unknown(tmp_path, sample):
    """Two events of the sample with names, and a layout, of somebody else; in cm."""
    with uproot.open(sample / "events.root") as file:
        events = file["events"].arrays(entry_stop=2)
    axes = {f"hit_{a}": events[f"sp_{a}"] * np.float32(0.1) for a in "xyz"}
    charge = ak.ones_like(axes["hit_x"])
    path = tmp_path / "mine.root"
    with uproot.recreate(path) as file:
        types = dict.fromkeys([*axes, "hit_charge"], "var * float32")
        file.mktree("Hits", types)
        file["Hits"].extend(axes | {"hit_charge": charge})
        file.mktree("header", {"eventNumber": "int64"})
        file["header"].extend({"eventNumber": events["event"]})
    return path


def test_the_error_prints_a_columns_file_that_leads_to_tracks(
    sonic, unknown, weights, tmp_path
):
    job = ("track", unknown, "-o", "t.root", "--weights", weights)

    refused = sonic(*job)
    message, _, rest = refused.stderr.partition("\n\n")
    advice, _, text = rest.partition("\n\n")
    (tmp_path / "columns.toml").write_text(text)
    tracked = sonic(*job, "--columns", "columns.toml", "--unit", "cm")

    assert refused.exit_code == 1
    assert message == (
        f"sonic: {unknown}: no tree with the columns event, sp_x, sp_y, sp_z or event, "
        "sp.x, sp.y, sp.z (trees: 'Hits', 'header'); name its columns (--columns)"
    )
    assert advice == (
        "save this as columns.toml, correct it, and name it (--columns columns.toml):"
    )
    assert text == (
        '[columns]\ntree = "Hits"\nevent = "header/eventNumber"\n'
        'x = "hit_x"\ny = "hit_y"\nz = "hit_z"\nunit = "mm"  # or cm, m, um\n'
    )
    assert tracked.exit_code == 0, tracked.output
    with uproot.open(unknown) as file:
        ids = file["header"]["eventNumber"].array().tolist()
    assert [event.event_id for event in TrackEvents("t.root")] == ids


def test_a_wrong_name_in_the_columns_file_prints_the_file_that_is_right(
    sonic, unknown, weights, tmp_path
):
    (tmp_path / "c.toml").write_text(
        '[columns]\ntree = "Hits"\nx = "hit_X"\ny = "hit_y"\nz = "hit_z"\n'
    )

    refused = sonic(
        *("track", unknown, "-o", "t.root", "--weights", weights),
        *("--columns", "c.toml"),
    )

    line, *_ = refused.stderr.splitlines()
    assert line == (
        f"sonic: {unknown}: no column 'hit_X' in 'Hits', nearest: 'hit_x', 'nhit_x', "
        "'hit_y'"
    )
    assert 'x = "hit_x"' in refused.stderr


def test_an_output_format_is_not_taken_for_one_of_the_input(refused, sample):
    line = refused(
        *("track", sample / "events.root", "-o", "t.root", "--format", "ttree"),
        status=2,
    )

    assert "unknown format 'ttree'; ttree is an output format" in line
    assert "nearest" not in line
    assert "there are: 'acts-csv'," in line
    assert "'jagged'" in line


NAMES = {
    "sp_particle_id": "hit_truth",
    "part_particle_id": "mc_id",
    **{f"part_{name}": f"mc_{name}" for name in ("vx", "vy", "vz", "px", "py", "pz")},
    "part_q": "mc_charge",
}


@pytest.fixture
def own_names(tmp_path, sample):
    """Write some events of the sample and their truth into one tree, and its names."""

    def write(n_events, without=()):
        columns = {}
        for path, tree, names in (
            ("events.root", "events", ("event", "sp_x", "sp_y", "sp_z")),
            ("truth.root", "sp_truth", ("sp_particle_id",)),
            ("truth.root", "particles", [n for n in NAMES if n.startswith("part")]),
        ):
            with uproot.open(sample / path) as file:
                read = file[tree].arrays(names, entry_stop=n_events)
            columns |= {NAMES.get(name, name): read[name] for name in names}
        columns = {k: v for k, v in columns.items() if k not in without}
        with uproot.recreate(tmp_path / "own.root") as file:
            file.mktree("T", {k: v.type.content for k, v in columns.items()})
            file["T"].extend(columns)
        keys = {"point_particle": "hit_truth", "id": "mc_id", "q": "mc_charge"}
        keys |= {n: f"mc_{n}" for n in ("vx", "vy", "vz", "px", "py", "pz")}
        keys = {k: v for k, v in keys.items() if v not in without} | {"event": "event"}
        lines = [f'{key} = "{name}"' for key, name in keys.items()]
        (tmp_path / "own.toml").write_text("[truth]\n" + "\n".join(lines) + "\n")
        return tmp_path / "own.root"

    return write


def figures(result):
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines() if "effici" in line]


def test_evaluation_takes_truth_of_other_names(sonic, own_names, sample):
    own = own_names(3)
    tracked = sonic("track", own, "-o", "t.root")

    by_name = sonic("evaluate", "t.root", "--truth", own, "--columns", "own.toml")
    expected = sonic("evaluate", "t.root", "--truth", sample / "truth.root")

    assert tracked.exit_code == 0, tracked.output
    assert figures(by_name) == figures(expected)
    assert "warning" not in by_name.stderr


def test_evaluation_says_what_truth_without_vertices_cannot_tell(sonic, own_names):
    own = own_names(2, without=("mc_vx", "mc_vy", "mc_vz"))
    sonic("track", own, "-o", "t.root")

    result = sonic(
        *("evaluate", "t.root", "--truth", own, "--columns", "own.toml"),
        *("--json", "e.json"),
    )

    assert result.exit_code == 0, result.output
    (line,) = [each for each in result.stderr.splitlines() if "warning" in each]
    assert line.startswith(
        "sonic: warning: the truth has no production vertices (vx, vy, vz): particles "
        "count wherever they were produced"
    )
    assert (
        "no production vertices"
        in json.loads(Path("e.json").read_text())["truth_remarks"][0]
    )


def test_a_columns_file_without_a_known_table_is_refused(refused, own_names, tmp_path):
    own = own_names(1)
    (tmp_path / "c.toml").write_text('[column]\nx = "a"\n')

    of_track = refused("track", own, "-o", "t.root", "--columns", "c.toml", status=2)
    of_train = refused(
        *("train", "--events", own, "--truth", own, "-o", "w", "--columns", "c.toml"),
        status=2,
    )

    assert "no table [columns], nearest: 'column'" in of_track
    assert "no table [columns] or [truth], nearest: 'column'" in of_train
