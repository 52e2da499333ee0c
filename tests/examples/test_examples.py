"""The examples run, and find what is there."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sonic_tracking
from producers import TruthEvents

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = Path(sonic_tracking.__file__).parent / "sample"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["plain_loop", "own_producer"])
def test_example_runs_as_a_program(name):
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", SAMPLE / "events.root"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.count("event ") == 20
    assert done.stderr == ""


def test_plain_loop_labels_every_space_point():
    loop = load("plain_loop").find_tracks(SAMPLE / "events.root")

    for event, candidates in loop:
        assert len(candidates.labels) == len(event)
        assert len(candidates) > 0


def test_own_producer_finds_the_collision():
    found = load("own_producer").find_vertices(SAMPLE / "events.root")

    for (_, z_mm), truth in zip(found, TruthEvents(SAMPLE / "truth.root"), strict=True):
        true_z_mm = float(np.median(truth.particles.vertex_mm[:, 2]))
        assert abs(z_mm - true_z_mm) < 0.5


def test_jet_tagger_tells_wide_jets_from_narrow_ones():
    done = subprocess.run(
        [sys.executable, EXAMPLES / "jet_tagger.py"],
        capture_output=True,
        text=True,
        check=True,
    )

    quarks, gluons = done.stdout.splitlines()
    assert quarks.startswith("500 quark jets")
    assert gluons.startswith("500 gluon jets")
    assert float(gluons.split()[-1]) > float(quarks.split()[-1]) + 0.2
    assert done.stderr == ""
