"""The dask example runs, and gives the files in their order."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="needs the extra dask")

EXAMPLE = Path(__file__).parents[2] / "examples" / "dask_files.py"


@pytest.mark.timeout(300)
def test_files_are_tagged_on_two_workers():
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE],
        stdout=subprocess.PIPE,  # stderr has what dask says of its workers
        text=True,
        check=True,
    )

    lines = done.stdout.splitlines()
    assert len(lines) == 4
    for number, line in enumerate(lines):
        assert line.startswith(f"jets-{number}.root: 250 jets, mean score 0.")
