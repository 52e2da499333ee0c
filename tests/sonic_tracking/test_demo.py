"""`sonic demo`: the whole job on the bundled sample."""

import shlex

import pytest

import sonic_tracking
from producers import TrackEvents
from sonic_tracking.commands.demo import next_steps


def test_demo_leaves_files_to_go_on_with(sonic, weights, tmp_path, monkeypatch):
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))

    result = sonic("demo", "--weights", weights)

    assert result.exit_code == 0, result.output
    assert len(TrackEvents(tmp_path / "tracks.root")) == 20
    assert (tmp_path / "tracks.png").read_bytes().startswith(b"\x89PNG")
    for words in ("track candidates", "efficiency", "fake rate", "duplicate rate"):
        assert words in result.stdout
    activate, *commands = result.stdout.splitlines()[-3:]
    assert activate.split() == ["source", ".venv/bin/activate"]
    for name in ("events.root", "truth.root"):
        copy = (tmp_path / name).read_bytes()
        assert copy == (sonic_tracking.SAMPLE / name).read_bytes()
    more = {"track": ("--weights", weights), "evaluate": ()}
    for line in commands:
        command, *arguments = shlex.split(line)[1:]
        assert sonic(command, *arguments, *more[command]).exit_code == 0


def test_an_active_environment_need_not_be_activated(tmp_path, monkeypatch):
    monkeypatch.setenv("VIRTUAL_ENV", "/env")
    monkeypatch.setattr("sys.prefix", "/env")

    first, _ = next_steps(tmp_path)

    assert first.split()[:2] == ["sonic", "track"]


@pytest.mark.parametrize("name", ["events.root", "tracks.png"])
def test_demo_keeps_files_that_exist(refused, tmp_path, name):
    (tmp_path / name).write_text("precious")

    line = refused("demo", status=1)

    assert "--force" in line
    assert (tmp_path / name).read_text() == "precious"
