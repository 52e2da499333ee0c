"""The blocks of docs/event_loop.md run, one after another."""

import re
import shlex
import shutil
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from typer.testing import CliRunner

import sonic_tracking
from mock_server import MockServer, Model, TensorSpec
from producers import TrackEvents
from sonic_tracking.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "event_loop.md").read_text()
SAMPLE = Path(sonic_tracking.__file__).parent / "sample"
REMOTE, SCHEDULER = "grpc://localhost:8001", "tcp://host:8786"
POINTS = TensorSpec("POINTS", "FP32", (-1, 3))
SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}


def sectors(tensors):
    phi = tensors["FEATURES"][:, 1]
    return {"LABELS": np.floor((phi + 1.0) * 20).astype(np.int64)}


def mean_z(tensors):
    return {"VERTEX_Z": tensors["POINTS"][:, 2].mean(keepdims=True)}


def sum_of_pt(tensors):
    return {"SCORE": tensors["CONSTITUENTS"][:, 0].sum(keepdims=True)}


MODELS = [
    Model(
        "exatrkx",
        [TensorSpec("FEATURES", "FP32", (-1, 3))],
        [TensorSpec("LABELS", "INT64", (-1,))],
        sectors,
        parameters=SCALES,
    ),
    Model("vertex", [POINTS], [TensorSpec("VERTEX_Z", "FP32", (1,))], mean_z),
    Model(
        "jet_tagger",
        [TensorSpec("CONSTITUENTS", "FP32", (-1, 3))],
        [TensorSpec("SCORE", "FP32", (1,))],
        sum_of_pt,
    ),
]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NEEDS_EXTRA = re.compile(r"^(from|import) (coffea|dask_awkward|distributed)", re.M)


@pytest.fixture(scope="module")
def server():
    with MockServer(MODELS) as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(SAMPLE / "events.root", tmp_path)
    lists = ak.Array([[1.0, 2.0], [4.0]])
    with uproot.recreate(tmp_path / "jets.root") as file:
        names = ("pt", "eta", "phi")
        file.mktree("jets", dict.fromkeys(names, "var * float64"))
        file["jets"].extend(dict.fromkeys(names, lists))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, server):
    """Run the blocks up to the one with some text, without those of other extras."""
    names = {"__name__": "event_loop_page"}

    def run_to(text, scheduler=SCHEDULER):
        (last,) = (index for index, block in enumerate(BLOCKS) if text in block)
        for index, block in enumerate(BLOCKS[: last + 1]):
            if index < last and NEEDS_EXTRA.search(block):
                continue
            code = block.replace(REMOTE, server.url).replace(SCHEDULER, scheduler)
            exec(compile(code, "docs/event_loop.md", "exec"), names)
        return names

    return run_to


def test_every_form_of_the_loop_runs(run, folder, capsys):
    names = run("JetTagger(triton_wrapper)")

    lines = capsys.readouterr().out.splitlines()
    assert sum("track candidates" in line for line in lines) == 20
    assert sum("the longest has" in line for line in lines) == 20
    assert sum("collision at z" in line for line in lines) == 20
    assert any(line.startswith("<TrackCandidates: ") for line in lines)
    assert "[array([0, 1, 3]), array([2, 4])]" in lines
    assert "0 of 20 events failed" in lines
    assert "20 of 40 events from the cache" in lines
    assert "[[4.5], [9.0]]" in lines
    assert lines[-1] == "[[14.0], [7.0]]"
    assert names["times"].events == len(TrackEvents(folder / "tracks.root")) == 20


def test_the_processor_runs(run, capsys):
    pytest.importorskip("coffea", reason="needs the extra coffea")

    run("processor.ProcessorABC")

    last = capsys.readouterr().out.splitlines()[-1]
    assert "'jets': 2" in last
    assert "7.0" in last


def test_the_graph_runs(run, capsys):
    pytest.importorskip("dask_awkward", reason="needs the extra coffea")

    run("import dask_awkward")

    assert capsys.readouterr().out.splitlines()[-1] == "[[14.0], [7.0]]"


def test_the_job_of_ones_own_runs(run, capsys):
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")

    with distributed.LocalCluster(
        n_workers=1,
        processes=False,
        host="127.0.0.1",
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        run("import Client as DaskClient", scheduler=cluster.scheduler_address)

    total = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"\[\d+\]", total)


def test_commands_are_understood(folder):
    (block,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    for line in block.splitlines():
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        # Known options, and no such files here.
        assert result.stderr == "sonic: run*.root: no such file\n"


def test_links_lead_to_files():
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGE)

    assert targets
    docs = Path(__file__).parents[2] / "docs"
    assert [target for target in targets if not (docs / target).exists()] == []
