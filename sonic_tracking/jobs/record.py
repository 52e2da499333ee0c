"""Record a server: as a proxy in the foreground, or with requests of our own."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sonic_base.errors import ConfigError, SonicError
from sonic_tracking.commands.printing import print_rows
from sonic_tracking.errors import needs_extra

if TYPE_CHECKING:
    from mock_server.cassette import Cassette

__all__ = ["RecordingJob", "run_recording"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingJob:
    """What to record, and where to."""

    server: str
    models: tuple[str, ...]
    output: Path
    listen: int = 0
    requests: tuple[Path, ...] = ()
    """Files for `sonic track`; none: stand as a proxy until Ctrl-C or SIGTERM."""

    decimals: int | None = None
    max_bytes: int | None = None


def run_recording(job: RecordingJob) -> None:
    """Record, and print what was recorded.

    Raises
    ------
    ConfigError
        If the address or the folder cannot be used.
    SonicError
        If the server does not describe its models, or a request of ours failed.
    """
    with needs_extra("mock"):
        from mock_server import MockServer, ModelError  # noqa: PLC0415
        from mock_server.cassette import (  # noqa: PLC0415
            Cassette,
            CassetteError,
            Upstream,
            recorded_models,
        )

    try:
        upstream = Upstream(job.server)
    except ValueError as error:
        raise ConfigError(f"--server: {error}") from error
    with upstream:
        try:
            described = upstream.described(job.models)
            cassette = Cassette.create(job.output, described, decimals=job.decimals)
        except ModelError as error:
            raise SonicError(f"{job.server}: {error}") from error
        except CassetteError as error:
            raise ConfigError(f"--output {error}") from error
        models = recorded_models(upstream, cassette, max_bytes=job.max_bytes)
        with MockServer(models, grpc_port=job.listen) as proxy:
            if job.requests:
                _find_tracks(job, proxy.url)
            else:
                _wait_for_clients(job, proxy.url)
    _print_result(job, cassette)


def _find_tracks(job: RecordingJob, url: str) -> None:
    from sonic_tracking.jobs.connection import ClientSettings  # noqa: PLC0415
    from sonic_tracking.jobs.track import TrackingJob, run_tracking  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="sonic-record-") as folder:
        tracking = TrackingJob(
            files=job.requests,
            output=Path(folder) / "tracks.root",
            client=ClientSettings(servers=(url,), model=job.models[0]),
            command="sonic record",
        )
        run_tracking(tracking)


def _wait_for_clients(job: RecordingJob, url: str) -> None:
    print_rows("recording", [("clients connect to", url), ("server", job.server)])
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return  # how a recording is meant to end


def _print_result(job: RecordingJob, cassette: Cassette) -> None:
    counts = [(name, len(cassette.exchanges(name))) for name in cassette.models]
    print_rows(
        "recorded",
        [
            *((f"requests to {name}", f"{count}") for name, count in counts),
            ("size", f"{cassette.size_bytes / 1e6:.3f} MB"),
            ("replay with", f"sonic serve --cassette {job.output}"),
        ],
    )
