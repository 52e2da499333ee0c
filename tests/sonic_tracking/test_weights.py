"""`sonic weights`: files of the paper's kind imported, ranges, what is bundled."""

import re
import shutil
import tomllib

import numpy as np
import pytest
import tomli_w
import torch
from torch import nn

from exatrkx_pipeline import load_weights

# How TorchScript files are made; torch would rather make others, but still reads them.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

CUTS = """
features = { names = ["r", "phi", "z"], scales = [3000.0, 3.14159265, 400.0] }
graph = { r_val = 0.3 }
filter = { filter_cut = 0.21 }
track_building = { method = "components", score_cut = 0.75 }
"""


class EdgeScores(nn.Module):
    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return (x[edges[0]] - x[edges[1]]).sum(dim=1)


@pytest.fixture
def arguments(tmp_path):
    torch.jit.save(torch.jit.script(nn.Linear(3, 8)), str(tmp_path / "embed.pt"))
    torch.jit.save(torch.jit.script(EdgeScores()), str(tmp_path / "scores.pt"))
    (tmp_path / "cuts.toml").write_text(CUTS)
    return (
        "weights", "import", "--embed", "embed.pt", "--filter", "scores.pt",
        "--gnn", "scores.pt", "--config", "cuts.toml", "-o", "weights",
    )  # fmt: skip


def test_weights_folder_holds_scripts_and_cuts(sonic, arguments, tmp_path, monkeypatch):
    monkeypatch.delenv("SONIC_TRUST_TORCHSCRIPT", raising=False)
    result = sonic(*arguments)

    assert result.exit_code == 0, result.output
    assert result.stdout.count("TorchScript, run as it is") == 3
    trusted = re.findall(r"--trust-torchscript (\S+)", result.stdout)
    monkeypatch.setenv("SONIC_TRUST_TORCHSCRIPT", ",".join(trusted))
    pipeline = load_weights(tmp_path / "weights")
    assert pipeline.config.features.scales == (3000.0, 3.14159265, 400.0)
    assert pipeline.config.filter.filter_cut == 0.21
    assert pipeline.labels(np.full((5, 3), 0.1, dtype=np.float32)).shape == (5,)


def test_weights_that_are_there_are_replaced_only_by_force(sonic, arguments, refused):
    sonic(*arguments)

    assert "--force replaces them" in refused(*arguments, status=1)
    assert sonic(*arguments, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("filter = { filter_cut = 0.21 }\n", ""), "key 'filter' is missing"),
        (("filter_cut = 0.21", "cut = 0.21"), "filter: unknown key 'cut'"),
        (("graph =", "grahp ="), "unknown key 'grahp'"),
        ((", scales = [3000.0, 3.14159265, 400.0]", ""), "scales"),
        (("score_cut = 0.75", "score_cut = 7.5"), "score_cut must be in"),
        (("features", "= features"), "not a TOML file"),
    ],
    ids=["no cut", "name", "table", "no scale", "range", "toml"],
)
def test_configuration_that_lacks_something_is_told(
    refused, arguments, tmp_path, change, message
):
    (tmp_path / "cuts.toml").write_text(CUTS.replace(*change))

    assert message in refused(*arguments, status=2)


def test_file_that_is_no_network_is_told(refused, arguments, tmp_path):
    (tmp_path / "embed.pt").write_bytes(b"nothing")

    assert "embed.pt: not TorchScript" in refused(*arguments, status=1)


def test_the_command_trusts_the_programs_that_it_is_told(sonic, arguments, monkeypatch):
    monkeypatch.setenv("SONIC_TRUST_TORCHSCRIPT", "")
    printed = sonic(*arguments).stdout
    repository = ("repository", "-o", "models", "--weights", "weights")

    refusal = sonic(*repository)
    assert refusal.exit_code == 1
    assert "is a program (TorchScript), which would run as you" in refusal.stderr

    trusted = re.findall(r"(--trust-torchscript) (\S+)", printed)
    result = sonic(*(word for each in trusted for word in each), *repository)
    assert result.exit_code == 0, result.output


def test_bundled_weights_are_listed_with_what_they_are_for(sonic):
    result = sonic("weights", "list")

    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert "generic_pu0 and generic_pileup, by density" in lines["generic"]
    assert "space points an event, density 7 to 22" in lines["generic_pu0"]


def test_the_range_of_events_is_recorded_in_weights_without(
    sonic, sample, weights, tmp_path
):
    copy = tmp_path / "weights"
    shutil.copytree(weights, copy)
    config = tomllib.loads((copy / "config.toml").read_text())
    del config["input_range"]
    (copy / "config.toml").write_text(tomli_w.dumps(config))

    result = sonic(
        *("weights", "measure", copy, sample / "events.root", "--max-events", 3)
    )

    assert result.exit_code == 0, result.output
    assert "do not record" not in result.stderr
    known = load_weights(copy).input_range
    assert known.n_events == 3
    assert 30.0 < known.features["r"].least < 33.0
    assert 1000.0 < known.features["r"].greatest < 1030.0


def test_bundled_weights_are_not_measured_by_their_name(refused, sample):
    line = refused(
        *("weights", "measure", "generic_pu0", sample / "events.root"), status=2
    )

    assert "weights generic_pu0: the range of bundled weights is known" in line
    assert line.endswith("weights/generic_pu0")  # the folder to copy
