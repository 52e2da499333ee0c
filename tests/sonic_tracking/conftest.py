"""Fixtures of the command's tests: the sample, small weights, a runner."""

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

import sonic_tracking
from exatrkx_pipeline import Pipeline, PipelineConfig, load_weights, save_weights
from exatrkx_pipeline.config import (
    EmbeddingConfig,
    FeatureConfig,
    FilterConfig,
    GnnConfig,
    GraphConfig,
    TrackBuildingConfig,
)
from sonic_tracking.main import app

NODES = ("r", "phi", "z")
ADVICE = "save this as columns.toml, correct it, and name it (--columns columns.toml):"


@pytest.fixture(autouse=True)
def _sigint_as_in_a_terminal():
    """Let the commands get SIGINT, which a job in the background would ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def sample() -> Path:
    """Folder of the bundled sample: 20 events, with truth."""
    return Path(sonic_tracking.__file__).parent / "sample"


@pytest.fixture(scope="session")
def tiny_config() -> PipelineConfig:
    """Networks that compute in no time, and a radius that leaves few edges."""
    return PipelineConfig(
        features=FeatureConfig(names=NODES, scales=(1000.0, math.pi, 1000.0)),
        embedding=EmbeddingConfig(node_inputs=NODES, hidden=8, n_layers=1),
        graph=GraphConfig(r_val=0.02),
        filter=FilterConfig(
            node_inputs=NODES, edge_inputs=(), hidden=8, n_layers=2, filter_cut=0.0
        ),
        gnn=GnnConfig(
            architecture="InteractionGNN",
            node_inputs=NODES,
            edge_inputs=("dr",),
            hidden=8,
            n_graph_iters=1,
            n_edge_layers=1,
            n_node_layers=1,
        ),
        track_building=TrackBuildingConfig(method="components", score_cut=0.0),
    )


@pytest.fixture(scope="session")
def weights(tmp_path_factory, tiny_config) -> Path:
    """A weights directory that loads; it was never trained, but says on what."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    pipeline = replace(
        Pipeline.untrained(tiny_config),
        input_check=load_weights("generic_pu0").input_check,
    )
    return save_weights(folder, pipeline, training={}, scores={})


@pytest.fixture
def sonic(tmp_path, monkeypatch) -> Callable[..., Result]:
    """Run `sonic` with these arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr("sys.argv", ["sonic", *words])
        return CliRunner().invoke(app, words)

    return run


@pytest.fixture
def refused(sonic) -> Callable[..., str]:
    """Run `sonic`, which must fail with this status; return its one line.

    A columns file to start from may follow it.
    """

    def run(*arguments: object, status: int) -> str:
        before = set(Path.cwd().iterdir())

        result = sonic(*arguments)

        assert result.exit_code == status, result.output
        assert isinstance(result.exception, SystemExit)  # no traceback
        assert set(Path.cwd().iterdir()) == before  # nothing half-written
        line, *more = result.stderr.splitlines()
        assert line.startswith("sonic: ")
        assert not more or more[:2] == ["", ADVICE]
        return line

    return run
