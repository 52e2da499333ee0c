"""nginx and haproxy on loopback ports, each with its own folder and configuration.

Neither needs root. A process ends with its context; a reload is the signal that
``nginx -s reload`` and ``systemctl reload haproxy`` send.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

START_LIMIT_S = 10.0


def free_port() -> int:
    """Return a port of the loopback address on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
        return port


class Middlebox:
    """A proxy in a process of its own, in front of servers; a context manager.

    Parameters
    ----------
    folder : Path
        For its configuration, its log and its temporary files.
    text : str
        Its configuration, in which ``PORT`` is the port to listen on.
    """

    program: ClassVar[str]
    _reload_signal: ClassVar[signal.Signals]

    def __init__(self, folder: Path, text: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder / f"{self.program}-{self.port}"
        self._folder.mkdir()
        self._log_path = self._folder / "log"
        self._config_path = self._folder / "config"
        self.configure(text)

    def __enter__(self) -> Self:
        program = path_of(self.program)
        assert program is not None  # or else the test was skipped
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [program, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that `stall` reaches its workers
            )
        self._wait_until_it_listens()
        return self

    def __exit__(self, *exc_info: object) -> None:
        # The workers, too. A signal to end would be lost while haproxy is reloaded.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def reload(self) -> None:
        """Start new workers; those of before end when their connections do."""
        self._process.send_signal(self._reload_signal)

    def stall(self) -> None:
        """Make it a black hole: it takes connections, and answers nothing."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def configure(self, text: str) -> None:
        """Replace its configuration; `reload` applies it."""
        self.text = text
        whole = self._frame(text).replace("PORT", str(self.port))
        self._config_path.write_text(whole, encoding="utf-8")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.program}: {self.log}") from None
                time.sleep(0.02)
            else:
                return

    def _frame(self, text: str) -> str:
        raise NotImplementedError

    def _arguments(self) -> list[str]:
        raise NotImplementedError


class Nginx(Middlebox):
    """nginx; `text` is what stands in the block ``http``."""

    program = "nginx"
    _reload_signal = signal.SIGHUP

    def _frame(self, text: str) -> str:
        folder = self._folder
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        # As root, nginx would drop to a user that cannot read the folder.
        user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
        return f"""
            {user}
            daemon off;
            master_process on;
            worker_processes 1;
            pid {folder}/pid;
            error_log stderr warn;
            events {{ worker_connections 512; }}
            http {{
                access_log off;
                {places}
                {text}
            }}
        """

    def _arguments(self) -> list[str]:
        return ["-p", str(self._folder), "-e", "stderr", "-c", str(self._config_path)]


class HAProxy(Middlebox):
    """haproxy with a master process, which reloads it; `text` is all its sections."""

    program = "haproxy"
    _reload_signal = signal.SIGUSR2

    def _frame(self, text: str) -> str:
        lines = (line.strip() for line in text.splitlines())
        return "global\n  log stderr format raw daemon warning\n" + "\n".join(lines)

    def _arguments(self) -> list[str]:
        return ["-W", "-f", str(self._config_path)]


def nginx_text(protocol: str, addresses: Sequence[str], directives: str = "") -> str:
    """Return what stands in nginx's block `http` in front of servers.

    Parameters
    ----------
    protocol : str
        ``grpc`` or ``http``.
    addresses : sequence of str
        ``host:port`` of each server.
    directives : str
        Further ones, for the block `server`.
    """
    servers = "\n".join(f"server {address};" for address in addresses)
    listen = "127.0.0.1:PORT"
    if "ssl_certificate" in directives:
        listen += " ssl"
    if protocol == "grpc":
        listen += " http2"
        forward = "grpc_pass grpc://servers;"
    else:
        forward = """
            proxy_pass http://servers;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
        """
    return f"""
        upstream servers {{ {servers} keepalive 32; }}
        client_max_body_size 0;
        server {{
            listen {listen};
            {directives}
            location / {{ {forward} }}
        }}
    """


def haproxy_text(protocol: str, addresses: Sequence[str], defaults: str = "") -> str:
    """Return haproxy's sections in front of servers; parameters as `nginx_text`.

    `defaults` are further lines for the section of this name.
    """
    h2 = "proto h2" if protocol == "grpc" else ""
    servers = "\n".join(
        f"server s{number} {address} {h2} check inter 100ms"
        for number, address in enumerate(addresses)
    )
    return f"""
        defaults
        mode http
        timeout connect 5s
        timeout client 60s
        timeout server 60s
        option redispatch 1
        {defaults}
        frontend clients
        bind 127.0.0.1:PORT {h2}
        default_backend servers
        backend servers
        {servers}
    """


def path_of(program: str) -> str | None:
    """Return where a program is; Debian keeps these where only root looks."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
