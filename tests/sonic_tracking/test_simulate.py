"""`sonic simulate`: the events it leaves."""

import pytest
import uproot

pytest.importorskip("acts", reason="pyacts is not installed")

from producers.simulation import GunConfig, SimulationConfig
from sonic_tracking import simulate


def content(path):
    with uproot.open(path) as file:
        names = file.keys(cycle=False)
        return {name: file[name].arrays().tolist() for name in names}


GUN = ("simulate", "--generator", "gun", "--seed", 5)


def simulated(folder, **settings):
    """The events and the truth of a few particles, as lists."""
    config = SimulationConfig(
        generator="gun", seed=5, gun=GunConfig(n_particles=10), n_events=3
    )
    simulate(folder / "e.root", folder / "t.root", config, force=True, **settings)
    return content(folder / "e.root")["events"], content(folder / "t.root")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("whole"))


def test_same_seed_gives_the_same_events(whole, tmp_path):
    assert simulated(tmp_path) == whole


def test_processes_give_the_events_of_one(whole, tmp_path):
    assert simulated(tmp_path, n_processes=2) == whole


def test_sample_can_be_made_in_pieces(whole, tmp_path):
    events, _ = simulated(tmp_path, first_event=2, n_events=1)

    assert events == whole[0][2:]


def test_noise_and_losses_change_the_number_of_points(whole, tmp_path):
    noisy, _ = simulated(tmp_path, n_events=1, noise_fraction=0.2)
    poor, _ = simulated(tmp_path, n_events=1, hit_inefficiency=0.2)

    n_points = len(whole[0][0]["sp_x"])
    assert len(poor[0]["sp_x"]) < n_points < len(noisy[0]["sp_x"])


def test_rntuples_can_be_tracked(sonic, weights):
    made = sonic(
        *GUN, "-n", 1, "-o", "e.root", "--truth", "t.root", "--format", "rntuple"
    )
    assert made.exit_code == 0, made.output

    result = sonic("track", "e.root", "-o", "tracks.root", "--weights", weights)

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--pileup", 3], 2, "pileup"),
        (["--seed", -1], 2, "seed"),
        (["--truth", "e.root"], 2, "is events already"),
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
