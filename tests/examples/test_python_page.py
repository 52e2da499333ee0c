"""What docs/python.md shows runs, block after block."""

import re
import shutil
from pathlib import Path

import pytest

import sonic_tracking

pytest.importorskip("acts", reason="pyacts is not installed")

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

(RECIPE,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("events.root", "truth.root"):
        shutil.copy(sonic_tracking.SAMPLE / name, tmp_path)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_runs(folder, capsys):
    names = {"__name__": "python_page"}

    for block in BLOCKS:
        exec(compile(block, "docs/python.md", "exec"), names)

    printed = capsys.readouterr().out
    assert re.search(
        r"^<TrackingResult: \d+ track candidates of 5 events>$", printed, re.M
    )
    assert re.search(r"^<RunningServer: mock at grpc://127.0.0.1:\d+>$", printed, re.M)
    assert "client.infer(inputs)" in printed
    assert 0.9 < names["evaluated"].efficiency.value <= 1.0
    assert (folder / "tracks.root").exists()
    assert (folder / "weights" / "config.toml").exists()


def test_it_names_every_job():
    jobs = {name for name in sonic_tracking.__all__ if name.islower()}

    assert {name for name in jobs if f"{name}(" not in PAGE} <= {
        "import_weights",
        "write_repository",
    }


def test_links_lead_to_files():
    targets = re.findall(r"\]\(([^)#:]+)\)", PAGE)

    assert targets
    docs = Path(__file__).parents[2] / "docs"
    assert [target for target in targets if not (docs / target).exists()] == []
