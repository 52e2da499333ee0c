"""From a file with unknown columns to tracks, as a user of the command sees it."""

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
