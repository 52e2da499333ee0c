"""Help and version: there at once, and complete."""

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

from sonic_tracking.main import app

COMMANDS = sorted(typer.main.get_command(app).commands)


def test_version_is_the_packages(sonic):
    result = sonic("--version")

    assert result.stdout == f"sonic {version('sonic-tracking')}\n"


def test_help_lists_the_commands(sonic):
    result = sonic("--help")

    assert result.exit_code == 0
    assert len(COMMANDS) >= 12
    assert [name for name in COMMANDS if name not in result.stdout] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(sonic, command):
    result = sonic(command, "--help")

    assert result.exit_code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert "Examples\n" in re.sub(r" +\n", "\n", plain)
    assert f" sonic {command}" in plain.partition("Examples")[2]


def all_commands(command, name=()):
    for each, child in getattr(command, "commands", {}).items():
        yield (*name, each), child
        yield from all_commands(child, (*name, each))


@pytest.mark.parametrize(
    ("name", "command"),
    list(all_commands(typer.main.get_command(app))),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_help_fits_a_terminal_of_80_columns(sonic, monkeypatch, name, command):
    monkeypatch.setenv("COLUMNS", "80")

    shown = re.sub(r"\x1b\[[0-9;]*m", "", sonic(*name, "--help").stdout)

    assert "\N{HORIZONTAL ELLIPSIS}" not in shown  # something was cut off
    assert "\n" not in command.help.replace("\n\n", "")  # paragraphs are wrapped once


@pytest.mark.parametrize("option", ["--workers", "--dask"])
def test_help_of_track_shows_how_to_share_a_job(sonic, option):
    plain = re.sub(r"\x1b\[[0-9;]*m", "", sonic("track", "--help").stdout)

    options, _, examples = plain.partition("Examples")
    assert f"{option} " in options
    assert re.search(rf"sonic track run\*\.root .*{option} ", examples)


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from sonic_tracking.main import app\n"
        "app(['track', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'uproot', 'awkward', 'scipy', 'grpc', 'matplotlib'}\n"
        "print('loaded:', *sorted(heavy & sys.modules.keys()))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "loaded:"


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "sonic_tracking", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("sonic ")
