"""`sonic simulate`: the events it leaves."""

import pytest
import uproot

pytest.importorskip("acts", reason="pyacts is not installed")


def content(path):
    with uproot.open(path) as file:
        names = file.keys(cycle=False)
        return {name: file[name].arrays().tolist() for name in names}


GUN = ("simulate", "--generator", "gun", "--seed", 5)


def test_same_seed_gives_the_same_events(sonic, tmp_path):
    for name in ("a", "b"):
        result = sonic(*GUN, "-n", 2, "-o", f"{name}.root", "--truth", f"{name}t.root")
        assert result.exit_code == 0, result.output

    assert content(tmp_path / "a.root") == content(tmp_path / "b.root")
    assert content(tmp_path / "at.root") == content(tmp_path / "bt.root")


def test_processes_give_the_events_of_one(sonic, tmp_path):
    sonic(*GUN, "-n", 3, "-o", "one.root", "--truth", "one_truth.root")

    result = sonic(
        *(*GUN, "-n", 3, "-o", "two.root", "--truth", "two_truth.root", "--jobs", 2)
    )

    assert result.exit_code == 0, result.output
    assert content(tmp_path / "one.root") == content(tmp_path / "two.root")
    assert content(tmp_path / "one_truth.root") == content(tmp_path / "two_truth.root")


def test_sample_can_be_made_in_pieces(sonic, tmp_path):
    sonic(*GUN, "-n", 3, "-o", "all.root", "--truth", "t.root")

    sonic(*GUN, "-n", 1, "--first-event", 2, "-o", "last.root", "--truth", "u.root")

    whole, last = content(tmp_path / "all.root"), content(tmp_path / "last.root")
    assert whole["events"][2:] == last["events"]


def test_rntuples_can_be_tracked(sonic, weights):
    sonic(*GUN, "-n", 2, "-o", "e.root", "--truth", "t.root", "--format", "rntuple")

    result = sonic("track", "e.root", "-o", "tracks.root", "--weights", weights)

    assert result.exit_code == 0, result.output


def test_noise_and_losses_change_the_number_of_points(sonic, tmp_path):
    sonic(*GUN, "-n", 1, "-o", "e.root", "--truth", "t.root")
    sonic(*GUN, "-n", 1, "-o", "noisy.root", "--truth", "u.root", "--noise", 0.2)
    sonic(*GUN, "-n", 1, "-o", "poor.root", "--truth", "v.root", "--inefficiency", 0.2)

    n_points, noisy, poor = (
        len(content(tmp_path / f"{name}.root")["events"][0]["sp_x"])
        for name in ("e", "noisy", "poor")
    )
    assert poor < n_points < noisy


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--pileup", 3], 2, "pileup"),
        (["--seed", -1], 2, "seed"),
        (["--truth", "e.root"], 2, "is --output already"),
        (["-o", "nowhere/e.root"], 1, "does not exist"),
    ],
    ids=["pileup of a gun", "seed", "one file for both", "folder"],
)
def test_bad_settings_are_refused(refused, options, status, words):
    line = refused(
        *(*GUN, "-n", 1, "-o", "e.root", "--truth", "t.root", *options), status=status
    )

    assert words in line


def test_files_that_end_early_leave_no_output(refused, tmp_path):
    line = refused(
        *("simulate", "-n", 1, "--generator", "hepmc3", "--hepmc3", "nowhere.hepmc3"),
        *("-o", "e.root", "--truth", "t.root"),
        status=2,
    )

    assert "nowhere.hepmc3" in line
