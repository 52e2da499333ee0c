"""The servers of a client: one is chosen for each try, and judged by its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from sonic_base import SonicError
from sonic_client.config import ClientConfig, ServerConfig
from sonic_client.errors import (
    NoServerError,
    ServerOverloadedError,
    ServerUnreachableError,
    TransientError,
)
from sonic_client.report.observer import Observer
from sonic_client.report.summary import ServerInterval
from sonic_client.retry.pacing import Timing
from sonic_client.servers.choice import choose_server
from sonic_client.servers.health import Verdict, verdict_on
from sonic_client.servers.probing import Prober
from sonic_client.servers.server import Server, Slot
from sonic_client.servers.state_reports import StateReports
from sonic_client.transport.base import CompressionReport, Transport
from sonic_client.types import ModelMetadata

__all__ = ["ServerPool"]


class ServerPool:
    """The servers that have the model, each with one connection that is kept.

    Preferred servers are connected to first; the others when one of those fails a
    call or cannot be used. A server gets requests when a probe succeeded: it has
    capacity, it has the model, and the model is the same as at the first server. One
    that fails is probed in the background, as long as the pool is open.

    Parameters
    ----------
    connect : callable
        Returns the transport that reaches a server, not yet open.
    observer : Observer
        Is told when a server changes its state.
    tasks : TaskGroup
        Owns the background tasks; `close` ends them.

    Attributes
    ----------
    reports : StateReports
        Reports changes of a server's state.

    Notes
    -----
    Belongs to one event loop.
    """

    def __init__(
        self,
        config: ClientConfig,
        connect: Callable[[ServerConfig], Transport],
        *,
        observer: Observer,
        tasks: asyncio.TaskGroup,
        timing: Timing,
    ) -> None:
        self._servers = {
            server.name: Server(
                server,
                connect(server),
                health=config.health,
                retry=config.retry,
                timing=timing,
            )
            for server in config.servers
        }
        self._config, self._timing = config, timing
        self.reports = StateReports(observer)
        self._prober = Prober(
            config,
            tasks=tasks,
            reports=self.reports,
            changed=self._note_change,
            timing=timing,
        )
        self._change = asyncio.Event()
        self._awaiting_answer: set[asyncio.Future[None]] = set()
        self._out_since: float | None = timing.clock()

    async def open(self) -> ModelMetadata:
        """Probe the servers; return the model as the first usable one describes it.

        Raises
        ------
        SonicError
            The only server's own error.
        NoServerError
            None could be used in time; with the last error of each.
        """
        servers = tuple(self._servers.values())
        for server in [each for each in servers if each.config.preferred] or servers:
            self._use(server)
        started = self._timing.clock()
        while (metadata := self.metadata) is None:
            if all(server.is_hopeless for server in servers):
                raise self.failure()
            patience_s = (
                self._config.model_ready_timeout_s
                if any(server.is_waiting for server in servers)
                else self._config.startup_timeout_s
            )
            if not await self.wait(until=started + patience_s):
                raise self.failure()
        self.reports.begin()
        return metadata

    @property
    def metadata(self) -> ModelMetadata | None:
        """The model as the first server described it; None until one did."""
        return self._prober.metadata

    def open_with(self, metadata: ModelMetadata, known_from: str) -> None:
        """Go on without a server; compare those that come with this metadata."""
        self._prober.adopt(metadata, known_from)
        self.reports.begin(is_complete=False)

    async def close(self) -> None:
        """End the background tasks, and close all connections."""
        await self._prober.close()
        for server in self._servers.values():
            if server.is_connected:
                await server.transport.close()

    def slot(
        self,
        tried: Sequence[str] = (),
        *,
        only: str = "",
        ruled_out: Collection[str] = (),
        avoided: Collection[str] = (),
    ) -> Slot | None:
        """Return a slot at the server for a try, or None if none can be used now.

        Parameters
        ----------
        tried : sequence of str
            Names of those that the request failed at, oldest try first.
        only : str
            Name of the server to take, if it can be used.
        ruled_out : collection of str
            Names of those that would fail the request again.
        avoided : collection of str
            Names of those to take only if no other can be used.
        """
        usable = [
            server
            for name, server in self._servers.items()
            if server.breaker.admits and name not in ruled_out
        ]
        if only:
            usable = [server for server in usable if server.name == only] or usable
        elif avoided:
            usable = [each for each in usable if each.name not in avoided] or usable
        if not usable:
            self._use_all()
            return None
        if len(usable) == 1:  # the ordinary case: there is nothing to choose
            return Slot(usable[0], self.notify)
        name = choose_server([server.candidate() for server in usable], tried)
        assert name is not None  # all of these are usable
        return Slot(self._servers[name], self.notify)

    def slot_beside(self, names: Collection[str]) -> Slot | None:
        """Return a slot at another server than these that works and is not full."""
        candidates = [
            server.candidate()
            for name, server in self._servers.items()
            if name not in names
            and server.has_room
            and server.breaker.state == "closed"
        ]
        name = choose_server(candidates)
        return None if name is None else Slot(self._servers[name], self.notify)

    def judge(
        self,
        slot: Slot,
        error: SonicError | None,
        latency_s: float,
        *,
        is_repeated: bool = False,
    ) -> None:
        """Note the end of a try: its error, or None for an answer.

        `is_repeated` says that the server failed the same request before.
        """
        server, is_trial = slot.server, slot.is_trial
        verdict = verdict_on(error)
        if verdict is Verdict.UNKNOWN:
            self._use_all()
            return
        if error is None and self._awaiting_answer:
            self._tell_of_answer()
        if error is None or verdict is Verdict.WORKS:
            taken_s = latency_s if error is None else None
            if server.note_works(taken_s, is_trial=is_trial):
                self.reports.ends_outage()
                self._note_change(server)
            # An answer from before an outage does not end it.
            if server.breaker.state == "closed":
                self.reports.works(server.name)
            return
        self._use_all()
        if isinstance(error, ServerOverloadedError):
            server.note_overload(error)
            self.reports.is_saturated(server.name, error)
        elif (
            server.note_out(error)
            if verdict is Verdict.IS_OUT
            else server.note_failure(error, is_trial=is_trial, is_repeated=is_repeated)
        ):
            self.reports.is_left_alone(server, error)
            self._prober.start(server)
            self._note_change(server)

    def note_version(self, slot: Slot, version: str) -> None:
        """Ask for the model again if another version than before answered."""
        if not self._config.model_version and slot.server.is_new_version(version):
            self._prober.describe_again(slot.server)

    def is_usable(self, name: str) -> bool:
        """Whether this server may be asked now."""
        return self._servers[name].breaker.admits

    def has_other(self, tried: Collection[str]) -> bool:
        """Whether a server that is not among these may be asked now."""
        return any(
            server.breaker.admits and name not in tried
            for name, server in self._servers.items()
        )

    def has_room(self, refused: Collection[str]) -> bool:
        """Whether a server that is not among these may be asked, and is not full."""
        return any(
            server.has_room and name not in refused
            for name, server in self._servers.items()
        )

    @property
    def may_open(self) -> bool:
        """Whether a server that may not be asked now may be asked soon."""
        return any(
            not (server.breaker.admits or server.is_hopeless)
            for server in self._servers.values()
        )

    @property
    def asked_wait_s(self) -> float:
        """The seconds for which every usable server has asked for no requests."""
        return min(
            [
                server.asked_wait_s
                for server in self._servers.values()
                if server.breaker.admits
            ],
            default=0.0,
        )

    @property
    def asking_to_wait(self) -> set[str]:
        """The names of the servers that have asked for no requests now."""
        return {
            name for name, server in self._servers.items() if server.asked_wait_s > 0.0
        }

    @property
    def full_since(self) -> float | None:
        """The time since when no usable server has had room; None if one has."""
        since = [
            server.full_since
            for server in self._servers.values()
            if server.breaker.admits
        ]
        known = [each for each in since if each is not None]
        return max(known) if known and len(known) == len(since) else None

    def may_have_other(self, ruled_out: Collection[str]) -> bool:
        """Whether a server that is not among these may be asked now or soon."""
        for name, server in self._servers.items():
            if name not in ruled_out and not server.is_hopeless:
                return True
        return False

    @property
    def is_hopeless(self) -> bool:
        """Whether no server will come back, or requests have waited long enough."""
        if all(server.is_hopeless for server in self._servers.values()):
            return True
        return self._outage_ends() <= self._timing.clock()

    async def wait(self, *, until: float) -> bool:
        """Wait for a change of the servers; return False if there was none in time."""
        change = self._change
        try:
            async with asyncio.timeout(max(0.0, until - self._timing.clock())):
                await change.wait()
        except TimeoutError:
            return False
        return True

    async def wait_for_first_probes(
        self, tried: Collection[str], *, until: float
    ) -> None:
        """Wait for servers that were never asked, unless another one can be tried."""
        while not self.has_other(tried) and any(
            server.is_new and name not in tried
            for name, server in self._servers.items()
        ):
            if not await self.wait(until=until):
                return

    async def wait_for_room(self, refused: Collection[str], *, wait_s: float) -> None:
        """Wait some seconds, or until a server that is not among these has room."""
        sleep = asyncio.ensure_future(self._timing.sleep(wait_s))
        try:
            while not (sleep.done() or self.has_room(refused)):
                change = asyncio.ensure_future(self._change.wait())
                try:
                    await asyncio.wait({sleep, change}, return_when="FIRST_COMPLETED")
                finally:
                    change.cancel()
        finally:
            sleep.cancel()

    async def wait_for_answer(self, *, wait_s: float) -> None:
        """Wait for an answer to any request, but no longer than some seconds."""
        answered = asyncio.get_running_loop().create_future()
        self._awaiting_answer.add(answered)
        sleep = asyncio.ensure_future(self._timing.sleep(wait_s))
        try:
            await asyncio.wait({answered, sleep}, return_when="FIRST_COMPLETED")
        finally:
            sleep.cancel()
            self._awaiting_answer.discard(answered)

    def _tell_of_answer(self) -> None:
        for each in self._awaiting_answer:
            if not each.done():
                each.set_result(None)

    async def wait_patiently(self, *, until: float) -> None:
        """Wait for a change, as long as an outage may last but not after `until`."""
        await self.wait(until=min(until, self._outage_ends()))

    def notify(self) -> None:
        """Wake those that wait for a change."""
        self._change.set()
        self._change = asyncio.Event()

    def failure(self, failures: Sequence[SonicError] = ()) -> SonicError:
        """Return an error that names, for every server, why it cannot be used.

        A single server gives its own error, unless it may come back.
        """
        last_errors = {
            name: server.last_error or self._no_answer(server)
            for name, server in self._servers.items()
        }
        (only, *others) = last_errors.values()
        may_come_back = isinstance(only, TransientError) and self.metadata is not None
        if not others and not may_come_back and isinstance(only, SonicError):
            return only
        now = self._timing.clock()
        outage_s = None if self._out_since is None else now - self._out_since
        return NoServerError(last_errors, failures=failures, outage_s=outage_s)

    async def intervals(self) -> Mapping[str, ServerInterval]:
        """Return the servers' counters since their first probe, where there are any."""
        intervals = {}
        for name, server in self._servers.items():
            first = server.first_counters
            if first is not None and server.breaker.state == "closed":
                last = await self._prober.count(server)
                if last is not None:
                    intervals[name] = ServerInterval(first=first, last=last)
        return intervals

    def compression(self) -> dict[str, CompressionReport]:
        """Return what compressing requests saved, by server; only where it was used."""
        reports = {
            name: server.transport.compression for name, server in self._servers.items()
        }
        return {name: each for name, each in reports.items() if each.n_messages}

    def _use_all(self) -> None:
        for server in self._servers.values():
            self._use(server)

    def _use(self, server: Server) -> None:
        if not server.is_used:
            server.is_used = True
            self._prober.start(server)

    def _note_change(self, server: Server) -> None:
        """Keep the time of the outage, and wake those that wait for a server."""
        if any(each.breaker.state == "closed" for each in self._servers.values()):
            self._out_since = None
        elif self._out_since is None:
            self._out_since = self._timing.clock()
        if server.breaker.state != "closed":
            self._use_all()
        self.notify()

    def _outage_ends(self) -> float:
        if self._out_since is None:
            return float("inf")
        return self._out_since + self._config.retry.patience_s

    def _no_answer(self, server: Server) -> ServerUnreachableError:
        return ServerUnreachableError(
            server=server.config.url,
            status="DEADLINE_EXCEEDED",
            details=f"no answer within {self._config.startup_timeout_s:g} s",
        )
