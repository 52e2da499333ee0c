"""Our client beside perf_analyzer, NVIDIA's own in C++: who keeps the server busier.

The one test that judges a time, so it runs only where it is asked for by name: with
`-m slow`, a tritonserver, and perf_analyzer (``SONIC_PERF_ANALYZER``, or on PATH).
"""

import csv
import json
import os
import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from sonic_tracking.main import app

pytestmark = [pytest.mark.triton, pytest.mark.slow, pytest.mark.timeout(600)]

CONCURRENCY = 4
LEAST_SHARE = 0.95
N_SAMPLE, N_COPIES = 20, 5


@pytest.fixture(scope="module")
def perf_analyzer() -> str:
    found = os.environ.get("SONIC_PERF_ANALYZER") or shutil.which("perf_analyzer")
    if found is None:
        pytest.skip("no perf_analyzer")
    return found


def sonic(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def perf_analyzer_rate(perf_analyzer, url, sample, folder, n_requests):
    events, report = folder / "input.json", folder / "report.csv"
    sonic("bench", "export", "--input", sample, "-o", events, "--force")
    subprocess.run(
        [
            perf_analyzer, "-m", "exatrkx", "-i", "grpc", "-b", "1",
            "-u", url.removeprefix("grpc://"), "--input-data", str(events),
            "--concurrency-range", str(CONCURRENCY),
            "--request-count", str(n_requests), "-f", str(report),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (row,) = csv.DictReader(report.read_text().splitlines())
    return float(row["Inferences/Second"])


def track_rate(url, files, folder):
    sonic(
        "track", *files, "-o", folder / "t.root", "--server", url,
        "--window", CONCURRENCY, "--json", folder / "t.json", "--force",
    )  # fmt: skip
    return json.loads((folder / "t.json").read_text())["events_per_s"]


def test_track_is_as_fast_as_perf_analyzer(triton, perf_analyzer, sample, tmp_path):
    files = [shutil.copy(sample, tmp_path / f"{i}.root") for i in range(N_COPIES)]
    n_requests = N_COPIES * N_SAMPLE
    track_rate(triton.url, files, tmp_path)  # to warm up

    # In turn, so that what else the machine does meets both.
    ours, theirs = [], []
    for _ in range(3):
        ours.append(track_rate(triton.url, files, tmp_path))
        theirs.append(
            perf_analyzer_rate(perf_analyzer, triton.url, sample, tmp_path, n_requests)
        )

    assert sorted(ours)[1] >= LEAST_SHARE * sorted(theirs)[1], (ours, theirs)
