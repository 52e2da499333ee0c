"""README and the pages for users: their Python, commands, columns and links work."""

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

ROOT = Path(__file__).parents[2]
SAMPLE = Path(sonic_tracking.__file__).parent / "sample"
REMOTE = "grpc://localhost:8001"
PAGES = ("README.md", "docs/servers.md", "docs/tracking.md")


def blocks(page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page, name=""):
    lines = "\n".join(blocks(page, "bash")).splitlines()
    return [line for line in lines if line.startswith(f"sonic {name}")]


PYTHON = [(page, code) for page in PAGES for code in blocks(page, "python")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the files that the pages name."""
    for name in ("events.root", "truth.root"):
        shutil.copy(SAMPLE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def triton():
    """Address of a server in the place of the one that the pages name."""
    with MockServer(tracking_models(bundled_weights())) as server:
        yield server.url


def run(line, *more):
    return CliRunner().invoke(
        app, [*shlex.split(line, comments=True)[1:], *map(str, more)]
    )


@pytest.mark.parametrize(("page", "code"), PYTHON)
def test_python_block_runs(page, code, folder, triton):
    exec(compile(code.replace(REMOTE, triton), page, "exec"), {"__name__": page})


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_that_is_named_exists(page):
    for line in commands(page):
        name = line.split()[1]
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})

        assert shown.exit_code == 0, line
        for option in re.findall(r"(?<=\s)--[a-z-]+", line):
            assert option in shown.output, line


@pytest.mark.parametrize("page", ["README.md", "docs/tracking.md"])
def test_commands_on_own_files_run_in_their_order(page, folder, triton):
    lines = [
        line for line in commands(page) if line.split()[1] in ("track", "evaluate")
    ]
    assert len(lines) >= 3

    for line in lines:
        result = run(line.replace(REMOTE, triton))
        assert result.exit_code == 0, (line, result.output)


def test_columns_file_is_understood(tmp_path):
    (text,) = blocks("docs/tracking.md", "toml")
    (tmp_path / "columns.toml").write_text(text)

    columns = ColumnMapping.from_toml(tmp_path / "columns.toml")

    assert columns.x == tomllib.loads(text)["columns"]["x"]


@pytest.mark.parametrize(
    "page",
    [
        path.relative_to(ROOT).as_posix()
        for path in (
            ROOT / "README.md",
            ROOT / "CONTRIBUTING.md",
            *ROOT.glob("docs/*.md"),
        )
    ],
)
def test_links_lead_to_files_and_headings(page):
    text = (ROOT / page).read_text(encoding="utf-8")

    for target in re.findall(r"\]\(([^):]+)\)", text):
        path, _, heading = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert heading in {
                re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                for title in titles
            }, target


def test_every_page_can_be_reached_from_readme():
    reached, waiting = set(), {ROOT / "README.md"}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for target in re.findall(r"\]\(([^):#]+\.md)", page.read_text("utf-8")):
            linked = (page.parent / target).resolve()
            if linked not in reached and linked.exists():
                waiting.add(linked)

    assert set(ROOT.glob("docs/*.md")) - reached == set()
