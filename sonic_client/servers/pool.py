"""The servers of a client: chosen, judged, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from sonic_base.errors import SonicError
from sonic_client.config import ClientConfig, ServerConfig
from sonic_client.errors import NoServerError, ServerUnreachableError, TransientError
from sonic_client.report.observer import Observer
from sonic_client.report.summary import ServerInterval
from sonic_client.retry.timing import Timing
from sonic_client.servers.admissions import Admissions
from sonic_client.servers.announcements import Announcements
from sonic_client.servers.choice import choose_server
from sonic_client.servers.lease import Lease
from sonic_client.servers.member import Member
from sonic_client.servers.verdict import Verdict, verdict_on
from sonic_client.transport.base import CompressionReport, Transport
from sonic_client.types import ModelMetadata

__all__ = ["ServerPool"]


class ServerPool:
    """The servers that have the model, each with one connection that is kept.

    Preferred servers are asked first; the others are connected to when one of
    those fails a call, or cannot be used for one. A server gets requests when it
    passed admission: it has room, it has the model, and the model is the same as at
    the first server. One that fails is asked again in the background, for as long as
    the pool is open.

    Parameters
    ----------
    config : ClientConfig
    connect : callable
        Returns the transport that reaches a server, not yet open.
    observer : Observer
        Is told when a server changes its state.
    tasks : TaskGroup
        Owns what goes on in the background; `close` ends it.
    timing : Timing

    Attributes
    ----------
    announcements : Announcements
        Of states, told once per change.

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
        self._members = {
            server.name: Member(
                server,
                connect(server),
                health=config.health,
                retry=config.retry,
                timing=timing,
            )
            for server in config.servers
        }
        self._config, self._timing = config, timing
        self.announcements = Announcements(observer)
        self._admissions = Admissions(
            config,
            tasks=tasks,
            announcements=self.announcements,
            changed=self._note,
            timing=timing,
        )
        self._change = asyncio.Event()
        self._out_since: float | None = timing.clock()

    async def open(self) -> ModelMetadata:
        """Ask the servers; return what the first that is admitted says of the model.

        Raises
        ------
        SonicError
            The only server's own error.
        NoServerError
            None was admitted in time; with the last error of each.
        """
        members = tuple(self._members.values())
        for member in [m for m in members if m.config.preferred] or members:
            self._wake(member)
        started = self._timing.clock()
        while (metadata := self.metadata) is None:
            if all(member.is_hopeless for member in members):
                raise self.failure()
            patience_s = (
                self._config.model_ready_timeout_s
                if any(member.is_waiting for member in members)
                else self._config.startup_timeout_s
            )
            if not await self.wait(until=started + patience_s):
                raise self.failure()
        return metadata

    @property
    def metadata(self) -> ModelMetadata | None:
        """What the first server said about the model; None until one did."""
        return self._admissions.metadata

    def adopt(self, metadata: ModelMetadata, known_from: str) -> None:
        """Compare all servers with this, unless one of them spoke first."""
        self._admissions.adopt(metadata, known_from)

    async def close(self) -> None:
        """End what goes on in the background, and close all connections."""
        await self._admissions.close()
        for member in self._members.values():
            if member.is_open:
                await member.transport.close()

    def lease(
        self,
        tried: Sequence[str] = (),
        *,
        only: str = "",
        ruled_out: Collection[str] = (),
    ) -> Lease | None:
        """Return the server for a try, or None if there is none now.

        Parameters
        ----------
        tried : sequence of str
            Names of those that the request tried, oldest try first.
        only : str
            Name of the server that is meant, if it can be asked.
        ruled_out : collection of str
            Names of those that would fail the request again.
        """
        usable = [
            member
            for name, member in self._members.items()
            if member.breaker.admits and name not in ruled_out
        ]
        if only:
            usable = [member for member in usable if member.name == only] or usable
        if not usable:
            self._wake_all()
            return None
        if len(usable) == 1:  # the ordinary case: there is nothing to choose
            return Lease(usable[0], self.notify)
        name = choose_server([member.candidate() for member in usable], tried)
        assert name is not None  # all of these are usable
        return Lease(self._members[name], self.notify)

    def judge(self, lease: Lease, error: SonicError | None, latency_s: float) -> None:
        """Draw the conclusion from a try: its error, or None for an answer."""
        member, is_trial = lease.member, lease.is_trial
        verdict = verdict_on(error)
        if error is None or verdict is Verdict.WORKS:
            taken_s = latency_s if error is None else None
            if member.answered(taken_s, is_trial=is_trial):
                self.announcements.end_outage()
                self._note(member)
            # An answer from before an outage does not end it.
            if member.breaker.state == "closed":
                self.announcements.tell(member.name, "healthy", "it answers")
            return
        self._wake_all()
        if verdict is Verdict.IS_FULL:
            member.overloaded(error)
            self.announcements.tell(member.name, "saturated", str(error))
        elif (
            member.put_out(error)
            if verdict is Verdict.IS_OUT
            else member.failed(error, is_trial=is_trial)
        ):
            self.announcements.tell(member.name, "open", str(error))
            self._admissions.start(member)
            self._note(member)

    def note_version(self, lease: Lease, version: str) -> None:
        """Ask for the model again, if another version than before answered."""
        if not self._config.model_version and lease.member.is_new_version(version):
            self._admissions.describe_again(lease.member)

    def is_usable(self, name: str) -> bool:
        """Whether this server may be asked now."""
        return self._members[name].breaker.admits

    def has_other(self, tried: Sequence[str]) -> bool:
        """Whether a server that is not among these may be asked now."""
        return any(
            member.breaker.admits and name not in tried
            for name, member in self._members.items()
        )

    def may_have_other(self, ruled_out: Collection[str]) -> bool:
        """Whether a server that is not among these may be asked now or soon."""
        for name, member in self._members.items():
            if name not in ruled_out and not member.is_hopeless:
                return True
        return False

    @property
    def is_hopeless(self) -> bool:
        """Whether it is in vain to wait for a server, or the patience is over."""
        if all(member.is_hopeless for member in self._members.values()):
            return True
        return self._outage_ends() <= self._timing.clock()

    async def wait(self, *, until: float) -> bool:
        """Wait for news of the servers; False if there were none until then."""
        change = self._change
        try:
            async with asyncio.timeout(max(0.0, until - self._timing.clock())):
                await change.wait()
        except TimeoutError:
            return False
        return True

    async def wait_patiently(self, *, until: float) -> None:
        """Wait for news, until then or until the patience with an outage is over."""
        await self.wait(until=min(until, self._outage_ends()))

    def notify(self) -> None:
        """Wake who waits for news."""
        self._change.set()
        self._change = asyncio.Event()

    def failure(self, failures: Sequence[SonicError] = ()) -> SonicError:
        """Return the error that says of every server why it cannot be asked.

        Of an only server it is its own error, unless the server may come back.
        """
        last_errors = {
            name: member.last_error or self._unheard_of(member)
            for name, member in self._members.items()
        }
        (only, *others) = last_errors.values()
        may_come_back = isinstance(only, TransientError) and self.metadata is not None
        if not others and not may_come_back and isinstance(only, SonicError):
            return only
        now = self._timing.clock()
        outage_s = None if self._out_since is None else now - self._out_since
        return NoServerError(last_errors, failures=failures, outage_s=outage_s)

    async def intervals(self) -> Mapping[str, ServerInterval]:
        """Return the counters of the servers that say them, from admission to now."""
        intervals = {}
        for name, member in self._members.items():
            first = member.first_counters
            if first is not None and member.breaker.state == "closed":
                last = await self._admissions.count(member)
                if last is not None:
                    intervals[name] = ServerInterval(first=first, last=last)
        return intervals

    def compression(self) -> dict[str, CompressionReport]:
        """Return what compressing requests saved, by server; only where it was used."""
        reports = {
            name: member.transport.compression for name, member in self._members.items()
        }
        return {name: each for name, each in reports.items() if each.n_messages}

    def _wake_all(self) -> None:
        for member in self._members.values():
            self._wake(member)

    def _wake(self, member: Member) -> None:
        if not member.is_awake:
            member.is_awake = True
            self._admissions.start(member)

    def _note(self, member: Member) -> None:
        """Take note that a server came or went."""
        if any(each.breaker.state == "closed" for each in self._members.values()):
            self._out_since = None
        elif self._out_since is None:
            self._out_since = self._timing.clock()
        if member.breaker.state != "closed":
            self._wake_all()
        self.notify()

    def _outage_ends(self) -> float:
        if self._out_since is None:
            return float("inf")
        return self._out_since + self._config.retry.patience_s

    def _unheard_of(self, member: Member) -> ServerUnreachableError:
        return ServerUnreachableError(
            server=member.config.url,
            status="DEADLINE_EXCEEDED",
            details=f"no answer within {self._config.startup_timeout_s:g} s",
        )
