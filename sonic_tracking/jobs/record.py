"""Record the answers of a server, as a proxy between it and its clients."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from producers import OutputError
from producers.io import output_errors
from sonic_base import ConfigError, SonicError
from sonic_client import ServerConfig
from sonic_tracking.columns import PointColumns
from sonic_tracking.errors import needs_extra
from sonic_tracking.jobs.serve import token_in
from sonic_tracking.jobs.track import track

if TYPE_CHECKING:
    from mock_server.cassette import Cassette

__all__ = ["Recording", "record"]


def record(
    server: str,
    models: Sequence[str],
    output: str | Path,
    *,
    listen: int = 0,
    decimals: int | None = None,
    max_bytes: int | None = None,
    token_file: str | Path | None = None,
) -> Recording:
    """Record a server: ``sonic record`` as a function.

    Clients that use `Recording.url` in place of the server's are answered by the
    server, and each answer is kept. ``serve(cassette=output)`` replays them.

    Parameters
    ----------
    server : str
        ``grpc://host:port`` of a Triton.
    models : sequence of str
        Models to record.
    output : path
        Folder for the recording; it must be new or empty.
    listen : int
        Port for clients; 0 takes a free one.
    decimals : int, optional
        Round the floats of requests and answers to this number of decimals.
    max_bytes : int, optional
        Stop recording beyond this size.
    token_file : path, optional
        File with the token of the server. Clients must send it to `Recording.url`,
        too. It goes to another machine only over TLS, and is not recorded.

    Returns
    -------
    Recording

    Raises
    ------
    ConfigError
        If the address, the folder or the token cannot be used.
    SonicError
        If the server does not describe its models.
    OutputError
        If the folder cannot be written: at once, or when the recording is stopped.

    Examples
    --------
    >>> from sonic_tracking import record, track
    >>> with record("grpc://host:8001", ["exatrkx"], "cassette/") as recording:
    ...     result = track("events.root", server=recording.url)
    """
    with needs_extra("mock"):
        from mock_server import MockServer, ModelError  # noqa: PLC0415
        from mock_server.cassette import (  # noqa: PLC0415
            Cassette,
            CassetteError,
            ConfigurationError,
            Upstream,
            recorded_models,
        )

    token = None
    if token_file is not None:
        token = token_in(Path(token_file))
        ServerConfig(url=server, token=token)  # refuses one that would go unencrypted
    with ExitStack() as stack:
        try:
            upstream = stack.enter_context(Upstream(server, token=token))
        except ValueError as error:
            raise ConfigError(f"--server: {error}") from error
        try:
            described = upstream.described(models)
            with output_errors(Path(output)):
                cassette = Cassette.create(Path(output), described, decimals=decimals)
        except (ModelError, ConfigurationError) as error:
            raise SonicError(f"{server}: {error}") from error
        except CassetteError as error:
            raise ConfigError(f"--output {error}") from error
        recorded = recorded_models(upstream, cassette, max_bytes=max_bytes)
        proxy = stack.enter_context(MockServer(recorded, grpc_port=listen, token=token))
        running = stack.pop_all()
        return Recording(
            server, Path(output), proxy.url, cassette, running, token_file=token_file
        )


class Recording:
    """A proxy that records; a context manager that ends it.

    Attributes
    ----------
    server, url : str
        The server that is recorded, and the address for its clients.
    output : Path
        Folder of the recording.
    """

    def __init__(
        self,
        server: str,
        output: Path,
        url: str,
        cassette: Cassette,
        running: ExitStack,
        *,
        token_file: str | Path | None = None,
    ) -> None:
        self.server, self.output, self.url = server, output, url
        self._cassette, self._running = cassette, running
        self._token_file = token_file

    def __repr__(self) -> str:
        return f"<Recording of {self.server} at {self.url}, into {self.output}>"

    def send(
        self,
        files: Sequence[Path],
        *,
        columns: PointColumns = None,
        unit: str | None = None,
    ) -> None:
        """Send the events of files of space points to the first model.

        Parameters
        ----------
        files : sequence of Path
        columns, unit
            As in `track`.

        Raises
        ------
        SonicError
            As `track`.
        """
        with tempfile.TemporaryDirectory(prefix="sonic-record-") as folder:
            track(
                files,
                output=Path(folder) / "tracks.root",
                server=self.url,
                token_file=self._token_file,
                model=next(iter(self._cassette.models)),
                columns=columns,
                unit=unit,
                command="sonic record",
            )

    def wait(self) -> None:
        """Record until Ctrl-C or SIGTERM raises KeyboardInterrupt.

        It returns if nothing more can be recorded, as on a full disk.
        """
        self._cassette.failed.wait()

    def rows(self) -> list[tuple[str, str]]:
        """Return what was recorded so far, for a table."""
        cassette = self._cassette
        counts = [(name, len(cassette.exchanges(name))) for name in cassette.models]
        return [
            *((f"requests to {name}", f"{count}") for name, count in counts),
            ("size", f"{cassette.size_bytes / 1e6:.3f} MB"),
            ("replay with", f"sonic serve --cassette {self.output}"),
        ]

    def stop(self) -> None:
        """Stop the proxy; does nothing the second time.

        Raises
        ------
        OutputError
            If the folder could not be written; it holds what was recorded before.
        """
        self._running.close()
        failure, self._cassette.failure = self._cassette.failure, None
        if failure is not None:
            with output_errors(self.output):
                raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except OutputError:
            if error is None:
                raise
