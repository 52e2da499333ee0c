"""Without an optional package, a command says which extra it needs."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
from sonic_tracking.main import app

app(sys.argv[1:], prog_name="sonic")
"""


def run_without(module, *arguments, cwd):
    """Run `sonic` where this module is not installed."""
    code = WITHOUT.format(module=module)
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_own_server_needs_torch(sample, tmp_path):
    done = run_without(
        "torch", "track", sample / "events.root", "-o", "tracks.root", cwd=tmp_path
    )

    assert done.returncode == 1
    assert done.stderr == (
        "sonic: this needs the package torch: pip install 'sonic-tracking[pipeline]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_workers_need_dask(sample, tmp_path):
    done = run_without(
        *("distributed", "track", sample / "events.root", "-o", "tracks.root"),
        *("--server", "127.0.0.1:9", "--workers", 2),
        cwd=tmp_path,
    )

    assert done.returncode == 1
    assert "sonic-tracking[dask]" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_training_needs_torch(sample, tmp_path):
    done = run_without(
        *("torch", "train", "--events", sample / "events.root"),
        *("--truth", sample / "truth.root", "-o", "weights"),
        cwd=tmp_path,
    )

    assert done.returncode == 1
    assert "sonic-tracking[pipeline]" in done.stderr


def test_evaluation_without_torch_lacks_the_edges(sonic, sample, weights, tmp_path):
    sonic(
        *("track", sample / "events.root", "-o", "tracks.root"),
        *("--weights", weights, "--max-events", 1),
    )

    done = run_without(
        *("torch", "evaluate", "tracks.root", "--truth", sample / "truth.root"),
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("edges per stage not counted: ")
    assert "torch" in last


@pytest.mark.parametrize("command", ["evaluate", "train", "demo"])
def test_what_makes_intervals_needs_hist_before_any_work(sample, tmp_path, command):
    truth = ("--truth", sample / "truth.root")
    arguments = {
        "evaluate": ("tracks.root", *truth),
        "train": ("--events", sample / "events.root", *truth, "-o", "weights"),
        "demo": (),
    }

    done = run_without("hist", command, *arguments[command], cwd=tmp_path)

    assert done.returncode == 1
    assert "sonic-tracking[plot]" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_simulation_needs_acts(tmp_path):
    done = run_without(
        *("acts", "simulate", "-n", 1, "-o", "e.root", "--truth", "t.root"),
        *("--generator", "gun"),
        cwd=tmp_path,
    )

    assert done.returncode == 2
    assert "sonic-tracking[simulation]" in done.stderr
    assert list(tmp_path.iterdir()) == []
