"""What README says works as it is written there."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sonic_tracking
from exatrkx_pipeline import bundled_weights
from mock_server import MockServer
from mock_server.tracking import tracking_models
from producers import ColumnMapping
from sonic_tracking.main import app

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SAMPLE = Path(sonic_tracking.__file__).parent / "sample"
REMOTE = "grpc://localhost:8001"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands(name):
    lines = "\n".join(blocks("bash")).splitlines()
    return [line for line in lines if line.startswith(f"sonic {name} ")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the files that README speaks of."""
    for name in ("events.root", "truth.root"):
        shutil.copy(SAMPLE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def triton():
    """Address of a server in the place of the one that README names."""
    with MockServer(tracking_models(bundled_weights())) as server:
        yield server.url


def run(line, *more):
    return CliRunner().invoke(app, [*shlex.split(line)[1:], *map(str, more)])


PYTHON = [code for code in blocks("python") if "@pytest.mark" not in code]
PYTEST = [code for code in blocks("python") if "@pytest.mark" in code]


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_block_runs(code, folder, triton):
    names = {"__name__": "readme"}

    exec(compile(code.replace(REMOTE, triton), "README.md", "exec"), names)

    for name, value in names.items():
        if name.startswith("test_"):
            value()


@pytest.mark.parametrize("code", PYTEST, ids=range(len(PYTEST)))
def test_block_of_tests_passes(code, pytester):
    pytester.makepyfile(code)

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=code.count("def test_"))


def test_every_command_that_is_named_exists():
    named = {
        tuple(re.findall(r"^sonic ([a-z]+)", line)[:1])
        for line in "\n".join(blocks("bash")).splitlines()
        if line.startswith("sonic ")
    }

    assert len(named) >= 8
    for name in named:
        assert CliRunner().invoke(app, [*name, "--help"]).exit_code == 0, name


def test_commands_on_own_files_run_in_their_order(folder, triton):
    lines = [*commands("track"), *commands("evaluate")]
    own_weights = [line for line in lines if "--weights" in line]
    lines = [line for line in lines if line not in own_weights]
    assert len(lines) >= 4

    for line in lines:
        result = run(line.replace(REMOTE, triton))
        assert result.exit_code == 0, (line, result.output)

    assert (folder / "eval.png").exists()


def test_simulate_command_runs(tmp_path, monkeypatch):
    pytest.importorskip("pythia8mc", reason="the extra generators is not installed")
    pytest.importorskip("acts", reason="pyacts is not installed")
    monkeypatch.chdir(tmp_path)
    (line,) = commands("simulate")

    result = run(line, "-n", 1)

    assert result.exit_code == 0, result.output


def test_train_command_is_understood(folder):
    weights = folder / "weights"
    weights.mkdir()
    (weights / "config.toml").touch()
    (line,) = commands("train")

    result = run(line)

    # Training takes hours: it stops where it would replace what is there.
    assert result.exit_code == 1
    assert "weights: has weights already" in result.stderr


def test_columns_file_is_understood(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "columns.toml").write_text(text)

    columns = ColumnMapping.from_toml(tmp_path / "columns.toml")

    assert columns.x == tomllib.loads(text)["columns"]["x"]


def test_links_lead_to_files():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)

    root = Path(__file__).parents[2]
    assert targets
    assert [target for target in targets if not (root / target).exists()] == []


def test_packages_of_the_table_are_those_that_there_are():
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \|$", README, re.MULTILINE)

    packages = {
        path.parent.name for path in Path(__file__).parents[2].glob("*/py.typed")
    }
    assert {name for name in rows if name in packages} == packages
