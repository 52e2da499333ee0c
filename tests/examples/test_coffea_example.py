"""The coffea example runs with each of coffea's executors, and finds the same."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("coffea", reason="needs the extra coffea")

EXAMPLE = Path(__file__).parents[2] / "examples" / "coffea_processor.py"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_processor_runs_with_the_executor(executor):
    if executor == "dask":
        pytest.importorskip("distributed", reason="needs the extra dask")

    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, executor],
        stdout=subprocess.PIPE,  # stderr has bars, and what dask says of its workers
        text=True,
        check=True,
    )

    gluons, quarks = (
        line for line in done.stdout.splitlines() if " jets: mean score " in line
    )
    assert gluons.startswith("300 gluon jets")
    assert quarks.startswith("300 quark jets")
    assert float(gluons.split()[-1]) > float(quarks.split()[-1]) + 0.2
