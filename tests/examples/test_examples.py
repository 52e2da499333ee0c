"""The examples run, and find what is there."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sonic_tracking
from producers import TruthEvents

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = Path(sonic_tracking.__file__).parent / "sample"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run an example as a program, in this process; give its output."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        output = capsys.readouterr()
        assert output.err == ""
        return output.out

    return run


def test_plain_loop_finds_tracks_in_every_event(run):
    lines = run("plain_loop", SAMPLE / "events.root").splitlines()

    counts = [re.search(r"(\d+) track candidates", line) for line in lines[::2]]
    assert len(counts) == 20
    assert all(int(count[1]) > 0 for count in counts)


def test_own_producer_finds_the_collision(run):
    output = run("own_producer", SAMPLE / "events.root")

    found = [float(z_mm) for z_mm in re.findall(r"z = (-?[\d.]+) mm", output)]
    for z_mm, truth in zip(found, TruthEvents(SAMPLE / "truth.root"), strict=True):
        true_z_mm = float(np.median(truth.particles.vertex_mm[:, 2]))
        assert abs(z_mm - true_z_mm) < 0.5


def test_jet_tagger_tells_wide_jets_from_narrow_ones(run):
    quarks, gluons = run("jet_tagger").splitlines()

    assert quarks.startswith("500 quark jets")
    assert gluons.startswith("500 gluon jets")
    assert float(gluons.split()[-1]) > float(quarks.split()[-1]) + 0.2


@pytest.fixture
def run_alone():
    """Run an example in a process of its own, with warnings as errors."""

    def run(name, *arguments):
        command = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *arguments]
        # stderr has progress bars, and messages of dask about its workers.
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.splitlines()

    return run


@pytest.mark.timeout(300)
@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_coffea_processor_runs_with_every_executor(run_alone, executor):
    pytest.importorskip("coffea", reason="needs the extra coffea")
    if executor == "dask":
        pytest.importorskip("distributed", reason="needs the extra dask")

    lines = run_alone("coffea_processor", executor)

    gluons, quarks = (line for line in lines if " jets: mean score " in line)
    assert gluons.startswith("300 gluon jets")
    assert quarks.startswith("300 quark jets")
    assert float(gluons.split()[-1]) > float(quarks.split()[-1]) + 0.2


@pytest.mark.timeout(300)
def test_dask_tags_files_on_two_workers(run_alone):
    pytest.importorskip("distributed", reason="needs the extra dask")

    lines = run_alone("dask_files")

    assert len(lines) == 4
    for number, line in enumerate(lines):
        assert line.startswith(f"jets-{number}.root: 250 jets, mean score 0.")
