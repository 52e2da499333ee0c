"""`sonic track` on a dask cluster: the same output, whatever becomes of the workers."""

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import awkward as ak
import numpy as np
import psutil
import pytest
import uproot

from mock_server import MockServer, Model, ModelError, TensorSpec
from producers import TrackEvents, open_events

pytest.importorskip("distributed", reason="needs the extra dask")

from distributed import Client as DaskClient
from distributed import LocalCluster

from sonic_tracking.distributed import cluster as clusters
from sonic_tracking.distributed.cluster import cluster_client

pytestmark = pytest.mark.timeout(300)

SCALES = {"feature_names": "r,phi,z", "feature_scales": "1000,3.14159265,1000"}
FEATURES = TensorSpec("FEATURES", "FP32", (-1, 3))
LABELS = TensorSpec("LABELS", "INT64", (-1,))


def sectors(tensors):
    """Label space points by their sector in phi."""
    phi = tensors["FEATURES"][:, 1]
    return {"LABELS": np.floor((phi + 1.0) * 20).astype(np.int64)}


@pytest.fixture
def serve():
    """Start a mock server of a function; it is closed at the end."""
    servers = []

    def start(function):
        model = Model(
            "exatrkx", [FEATURES], [LABELS], function, parameters=SCALES, instances=2
        )
        servers.append(MockServer([model]))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory):
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit="1GiB",
        silence_logs="CRITICAL",
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster):
    """A cluster with two workers, even after a test that killed one."""
    with DaskClient(shared_cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    return shared_cluster


def tables_of(path):
    with uproot.open(path) as file:
        return {
            name: file[name].arrays().to_list()
            for name in ("labels", "candidates", "failures")
        }


def test_two_workers_write_what_one_process_writes(sonic, sample, serve, tmp_path):
    server = serve(sectors)
    job = ("track", sample / "events.root", "--server", server.url)
    assert sonic(*job, "-o", "one.root").exit_code == 0

    result = sonic(*job, "-o", "two.root", "--workers", 2, "--json", "job.json")

    assert result.exit_code == 0, result.output
    assert tables_of(tmp_path / "two.root") == tables_of(tmp_path / "one.root")
    report = json.loads((tmp_path / "job.json").read_text())
    assert report["events"] == report["summary"]["events"] == 20
    assert report["summary"]["tries"] == {"OK": 20}
    assert report["candidates"] > 0
    assert not (tmp_path / "two.root.partial").exists()


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(
    sonic, sample, serve, cluster, tmp_path
):
    both_at_work, killed = threading.Condition(), threading.Event()
    busy = 0

    def kill_one_worker(tensors):
        nonlocal busy
        with both_at_work:
            busy += 1
            # One request a worker: two at once are of both, each within a part.
            if busy == 2 and not killed.is_set():
                os.kill(cluster.workers[0].pid, signal.SIGKILL)
                killed.set()
        assert killed.wait(120.0)
        return sectors(tensors)

    job = ("track", sample / "events.root", "--window", 1, "--max-events", 20)
    assert sonic(*job, "--server", serve(sectors).url, "-o", "one.root").exit_code == 0

    result = sonic(
        *(*job, "--server", serve(kill_one_worker).url, "-o", "two.root"),
        *("--dask", cluster.scheduler_address, "--json", "job.json"),
    )

    assert result.exit_code == 0, result.output
    assert killed.is_set()
    assert tables_of(tmp_path / "two.root") == tables_of(tmp_path / "one.root")
    assert json.loads((tmp_path / "job.json").read_text())["summary"]["events"] == 20


def test_failed_events_are_listed_in_input_order(
    sonic, sample, serve, cluster, tmp_path
):
    def not_too_many(tensors):
        if len(tensors["FEATURES"]) % 3 == 0:
            raise ModelError("INVALID_ARGUMENT", "a multiple of three")
        return sectors(tensors)

    server = serve(not_too_many)
    job = ("track", sample / "events.root", "--server", server.url)
    assert sonic(*job, "-o", "1.root", "--on-failure", "fill").exit_code == 0

    result = sonic(
        *(*job, "-o", "2.root", "--on-failure", "fill"),
        *("--dask", cluster.scheduler_address),
    )

    assert result.exit_code == 0, result.output
    tables = tables_of(tmp_path / "2.root")
    assert 0 < len(tables["failures"]) < 20
    assert tables == tables_of(tmp_path / "1.root")


def test_an_interrupted_job_goes_on(sonic, sample, serve, cluster, tmp_path):
    (chunk,) = open_events(sample / "events.root")
    n_points = len(chunk[14])
    assert n_points not in {len(event) for event in chunk if event.entry != 14}
    n_asked, is_broken = 0, True
    lock = threading.Lock()

    def breaks(tensors):
        nonlocal n_asked
        if is_broken and len(tensors["FEATURES"]) == n_points:
            raise ModelError("INVALID_ARGUMENT", "broken")
        with lock:
            n_asked += 1
        return sectors(tensors)

    server = serve(breaks)
    job = ("track", sample / "events.root", "--server", server.url)
    job = (*job, "--dask", cluster.scheduler_address, "-o", "tracks.root")
    result = sonic(*job)
    assert result.exit_code == 1
    assert "broken" in result.stderr
    # Parts of two events: all before the one that broke.
    assert len(TrackEvents(tmp_path / "tracks.root.partial")) == 14
    is_broken, n_asked = False, 0

    result = sonic(*job, "--resume")

    assert result.exit_code == 0, result.output
    assert 2 <= n_asked <= 6
    assert sonic(*job[:-1], "whole.root").exit_code == 0
    assert tables_of(tmp_path / "tracks.root") == tables_of(tmp_path / "whole.root")


class Gate:
    """A model that answers some requests, and blocks the others until the end."""

    def __init__(self, n_answered):
        self.n_answered, self.n_asked = n_answered, 0
        self.is_met, self.ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def __call__(self, tensors):
        with self._lock:
            self.n_asked += 1
            number = self.n_asked
        if number > self.n_answered:
            if number == self.n_answered + 2:  # both workers wait, a request each
                self.is_met.set()
            self.ended.wait()
        return sectors(tensors)

    def open(self):
        self.n_answered, self.n_asked = 1_000_000, 0
        self.ended.set()


def test_ctrl_c_says_what_was_done_and_the_job_goes_on(
    sonic, sample, serve, cluster, tmp_path
):
    gate = Gate(n_answered=8)
    server = serve(gate)
    job = ("track", sample / "events.root", "--server", server.url, "--window", 1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sonic_tracking", *map(str, job)),
            *("-o", "t.root", "--workers", "2"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert gate.is_met.wait(120.0)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers, too
        stdout, stderr = process.communicate(timeout=120.0)
    finally:  # else the server would wait for its model, and the test for both
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        gate.open()

    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    kept, line = stderr.splitlines()[-2:]
    assert "t.root.partial with parts that workers finished; --resume" in kept
    assert line == "sonic: interrupted"
    assert stdout.splitlines()[0].strip() == "done until now"
    # Two events a part; each worker had done the parts before the one it was at.
    assert len(list((tmp_path / "t.root.partial" / "parts").glob("*.npz"))) >= 3

    job = (*job, "--dask", cluster.scheduler_address, "-o")  # of two workers, again
    result = sonic(*job, "t.root", "--resume")

    assert result.exit_code == 0, result.output
    assert gate.n_asked <= 14
    assert sonic(*job, "whole.root").exit_code == 0
    assert tables_of(tmp_path / "t.root") == tables_of(tmp_path / "whole.root")


def test_what_workers_finished_is_kept_if_the_first_part_fails(
    sonic, sample, serve, cluster, tmp_path
):
    (chunk,) = open_events(sample / "events.root")
    n_points = len(chunk[0])
    assert n_points not in {len(event) for event in chunk if event.entry != 0}
    far_ahead, lock = threading.Event(), threading.Lock()
    is_broken, n_asked = True, 0

    def breaks_first(tensors):
        nonlocal n_asked
        if is_broken and len(tensors["FEATURES"]) == n_points:
            assert far_ahead.wait(120.0)
            raise ModelError("INVALID_ARGUMENT", "broken")
        with lock:
            n_asked += 1
        if n_asked == 7:  # by the other worker, which has three parts behind it
            far_ahead.set()
        return sectors(tensors)

    server = serve(breaks_first)
    job = ("track", sample / "events.root", "--server", server.url, "--window", 1)
    job = (*job, "--dask", cluster.scheduler_address, "-o")

    result = sonic(*job, "t.root")

    assert result.exit_code == 1
    assert "event 0 (entry 0)" in result.stderr
    assert "0 events are in t.root.partial with parts that" in result.stderr
    is_broken, n_asked = False, 0
    assert sonic(*job, "t.root", "--resume").exit_code == 0
    assert n_asked <= 14
    assert sonic(*job, "whole.root").exit_code == 0
    assert tables_of(tmp_path / "t.root") == tables_of(tmp_path / "whole.root")


def test_an_event_twice_in_a_file_is_found_in_another_part(
    sonic, serve, cluster, tmp_path
):
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        columns = {f"sp_{axis}": "var * float32" for axis in "xyz"}
        file.mktree("events", {"event": "int64", **columns})
        point = ak.Array([[1.0]] * 40)
        numbers = [*range(39), 0]
        file["events"].extend({"event": numbers} | dict.fromkeys(columns, point))

    result = sonic(
        *("track", path, "-o", "tracks.root", "--server", serve(sectors).url),
        *("--dask", cluster.scheduler_address),
    )

    assert result.exit_code == 1
    assert "event 0 (entry 39): there is another event" in result.stderr


def test_remote_workers_need_a_named_server(refused, sample):
    line = refused(
        *("track", sample / "events.root", "-o", "t.root", "--dask", "tcp://nowhere:1"),
        status=2,
    )

    assert "dask needs a server" in line


def test_one_cluster_at_a_time(refused, sample):
    line = refused(
        *("track", sample / "events.root", "-o", "t.root", "--workers", 2),
        *("--dask", "tcp://nowhere:1"),
        status=2,
    )

    assert "exclude one another" in line


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_a_cluster_without_certificates_is_warned_of(monkeypatch, caplog, scheme):
    monkeypatch.setattr(clusters, "START_TIMEOUT_S", 0.1)
    with (
        pytest.raises(clusters.ClusterError),
        cluster_client(f"{scheme}://127.0.0.1:1", None),
    ):
        pass

    assert ("has no authentication" in caplog.text) is (scheme == "tcp")


def test_only_the_job_can_use_its_own_cluster():
    with cluster_client(None, 1) as client:
        address = client.scheduler.address
        host, port = address.removeprefix("tls://").split(":")

        stranger = ssl.create_default_context()
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            answer = b""
            # In TLS 1.3 the refusal comes with the first answer.
            with suppress(ssl.SSLError), stranger.wrap_socket(connection) as encrypted:
                answer = encrypted.recv(1)

    assert address.startswith("tls://127.0.0.1:")
    assert answer == b""


def test_its_own_cluster_listens_on_loopback_at_free_ports():
    with (
        cluster_client(None, 1),
        cluster_client(None, 1) as client,  # warns if a port is taken
    ):
        processes = psutil.Process().children(recursive=True)
        sockets = [
            each
            for process in [psutil.Process(), *processes]
            for each in process.net_connections(kind="inet")
            if each.status == psutil.CONN_LISTEN
        ]

        assert client.submit(sum, (1, 2)).result() == 3
    # gRPC, of servers in this process, listens on IPv4 by sockets of IPv6.
    addresses = {each.laddr.ip.removeprefix("::ffff:") for each in sockets}
    assert addresses == {"127.0.0.1"}


def test_what_its_workers_write_down_lies_in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Another user of the machine has made the folder that dask would take."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "dask-scratch-space").mkdir(mode=0o777)
    (tmp_path / "dask-scratch-space").chmod(0o777)

    with cluster_client(None, 1) as client:
        (place,) = client.run(lambda dask_worker: dask_worker.local_directory).values()
        above = Path(place).relative_to(tmp_path).parts[0]
        mode = stat.S_IMODE((tmp_path / above).stat().st_mode)

    assert (above.startswith("sonic-dask-"), mode) == (True, 0o700)
    assert [each.name for each in tmp_path.iterdir()] == ["dask-scratch-space"]
