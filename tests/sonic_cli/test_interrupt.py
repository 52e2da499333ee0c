"""Ctrl-C and SIGTERM end a job with one line, their status and no file."""

import signal
import subprocess
import sys
import threading

import pytest

from mock_server import MockServer, Model, TensorSpec

SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGINT, 130, "sonic: interrupted\n"),
        (signal.SIGTERM, 143, "sonic: terminated\n"),
    ],
    ids=["ctrl-c", "sigterm"],
)
def test_a_signal_leaves_one_line_and_no_file(sample, tmp_path, number, status, line):
    arrived, interrupted = threading.Event(), threading.Event()

    def never_in_time(tensors):
        arrived.set()
        interrupted.wait()
        return {"LABELS": tensors["FEATURES"][:, 0].astype("int64")}

    features = TensorSpec("FEATURES", "FP32", (-1, 3))
    labels = TensorSpec("LABELS", "INT64", (-1,))
    model = Model("exatrkx", [features], [labels], never_in_time, parameters=SCALES)
    with MockServer([model]) as server:
        job = subprocess.Popen(
            [
                *(sys.executable, "-m", "sonic_cli", "track"),
                *(str(sample / "events.root"), "-o", "tracks.root"),
                *("--server", server.url),
            ],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert arrived.wait(30.0)

        job.send_signal(number)
        _, stderr = job.communicate(timeout=30.0)
        interrupted.set()

    assert job.returncode == status
    assert stderr == line
    assert list(tmp_path.iterdir()) == []
