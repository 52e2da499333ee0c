"""Ctrl-C ends a job with one line, status 130 and no file."""

import signal
import subprocess
import sys
import threading

from mock_server import MockServer, Model, TensorSpec

SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}


def test_ctrl_c_leaves_one_line_and_no_file(sample, tmp_path):
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

        job.send_signal(signal.SIGINT)
        _, stderr = job.communicate(timeout=30.0)
        interrupted.set()

    assert job.returncode == 130
    assert stderr == "sonic: interrupted\n"
    assert list(tmp_path.iterdir()) == []
