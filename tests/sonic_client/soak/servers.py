"""The servers of a soak, and what is done to them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from .chaos import Act
from .serve import Board

SCRIPT = Path(__file__).with_name("serve.py")


class ServerProcess:
    """A mock server in a process of its own; started again, it is at the same port."""

    def __init__(self, board: Path, *, seed: int) -> None:
        self._board_path, self._seed = board, seed
        self.board = Board(board)
        self._process = self._run(0)
        # Nobody else knows the port: it is read once.
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def _run(self, port: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, SCRIPT, str(port), self._board_path, str(self._seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if port == 0 else subprocess.DEVNULL,
            text=True,
        )

    def do(self, act: Act) -> None:
        """Do an act to it; returns at once."""
        match act.verb:
            case "kill":
                self._end()
            case "start":
                self._seed += 1
                self._process = self._run(int(self.url.rpartition(":")[2]))
            case "stall":
                self._process.send_signal(signal.SIGSTOP)
            case "resume":
                self._process.send_signal(signal.SIGCONT)
            case mood:
                self.board.mood = mood

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """Kill it, whatever its state."""
        if self._process.returncode is None:
            self._end()


class Chaos:
    """Carries a plan out as the events are delivered; a context manager."""

    def __init__(self, plan: Sequence[Act], n_servers: int, folder: Path) -> None:
        self._plan, self._next = plan, 0
        self.done: Counter[str] = Counter()
        self.servers = [
            ServerProcess(folder / f"board-{number}", seed=1000 * number)
            for number in range(n_servers)
        ]

    def delivered(self, n_events: int) -> None:
        """Carry out the acts that are due after `n_events` delivered events."""
        while self._next < len(self._plan) and (
            (act := self._plan[self._next]).at_event <= n_events
        ):
            self.servers[act.server].do(act)
            self.done[act.verb] += 1
            self._next += 1

    def injected(self) -> dict[str, int]:
        """The number of requests that each fault hit, over all servers."""
        counts: Counter[str] = Counter()
        for server in self.servers:
            counts.update(server.board.counts())
        return dict(counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for server in self.servers:
            server.close()
