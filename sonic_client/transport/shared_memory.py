"""Tensors in shared memory, for a server on the same host."""

from __future__ import annotations

import logging
import time

from sonic_client.errors import (
    InvalidAnswerError,
    RejectedRequestError,
    ServerError,
    ServerOverloadedError,
)
from sonic_client.transport.base import (
    CompressionReport,
    InferCall,
    InferReply,
    RegionTransport,
    ServerCounters,
)
from sonic_client.transport.process_guard import ProcessGuard
from sonic_client.transport.regions import (
    Direction,
    Region,
    RegionLease,
    RegionPlan,
    RegionPool,
    end_of,
    grown_size,
    plan_regions,
)
from sonic_client.types import ModelMetadata, ModelState

__all__ = ["SharedMemoryTransport"]

logger = logging.getLogger(__name__)

_REGISTER_TIMEOUT_S = 5.0
_UNREGISTER_TIMEOUT_S = 1.0
_VANISHED_TEXTS = ("Unable to find shared memory region", "for shared memory region")


class SharedMemoryTransport:
    """A transport that passes tensors in shared memory, and the rest by another one.

    It switches itself off where that cannot work: the server is on another host,
    refuses to register a region, or there is not enough memory. Then, and for tensors
    of unknown size, calls are sent by the inner transport alone.

    Parameters
    ----------
    inner : RegionTransport
        Reaches the server.

    Notes
    -----
    A region whose call ended without an answer is not used again, because the server
    may still read or write it.
    """

    def __init__(self, inner: RegionTransport) -> None:
        self._inner = inner
        self._guard = ProcessGuard(f"shared memory with {inner.server}")
        self._is_on = True
        self._has_warned = False
        self._models: dict[tuple[str, str], ModelMetadata] = {}
        self._pool = RegionPool()
        self._in_use: set[Region] = set()
        self._retired: list[str] = []

    @property
    def server(self) -> str:
        """Address of the server."""
        return self._inner.server

    @property
    def compression(self) -> CompressionReport:
        """Savings by compressing what is not in shared memory."""
        return self._inner.compression

    @property
    def is_on(self) -> bool:
        """Whether calls go through shared memory."""
        return self._is_on

    async def open(self) -> None:
        """Open the inner transport."""
        self._guard = ProcessGuard(f"shared memory with {self.server}")
        await self._inner.open()

    async def close(self) -> None:
        """Unregister and unlink all regions, and close the inner transport."""
        if self._guard.is_forked:  # the regions are the parent's
            await self._inner.close()
            return
        regions = [*self._pool.clear(), *self._in_use]
        self._in_use.clear()
        names = [*self._retired, *(region.name for region in regions)]
        self._retired = []
        try:
            for name in names:
                await self._unregister(name)
        finally:
            for region in regions:
                region.discard()
            await self._inner.close()

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether the server is ready, which implies that it is live."""
        await self._inner.probe(timeout_s=timeout_s)

    async def index(self, *, timeout_s: float) -> tuple[ModelState, ...]:
        """Ask for the state of every model version."""
        return await self._inner.index(timeout_s=timeout_s)

    async def describe(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ModelMetadata:
        """Ask for the model's metadata, and remember the sizes of its outputs."""
        metadata = await self._inner.describe(
            model_name, model_version, timeout_s=timeout_s
        )
        self._models[model_name, model_version] = metadata
        return metadata

    async def count(
        self, model_name: str, model_version: str, *, timeout_s: float
    ) -> ServerCounters:
        """Ask for the model's statistics, summed over its versions."""
        return await self._inner.count(model_name, model_version, timeout_s=timeout_s)

    async def infer(self, call: InferCall, *, timeout_s: float) -> InferReply:
        """Run the model; the deadline is `timeout_s` from now."""
        if not self._is_on:
            return await self._inner.infer(call, timeout_s=timeout_s)
        deadline = time.monotonic() + timeout_s
        metadata = self._models.get((call.model_name, call.model_version))
        lease = await self._lease(plan_regions(call, metadata), timeout_s)
        reply = None
        if lease is not None:
            reply = await self._infer_placed(call, lease, metadata, deadline)
        if reply is None:
            reply = await self._inner.infer(call, timeout_s=deadline - time.monotonic())
        return reply

    async def _infer_placed(
        self,
        call: InferCall,
        lease: RegionLease,
        metadata: ModelMetadata | None,
        deadline: float,
    ) -> InferReply | None:
        """Infer through the regions; None if the server has lost them."""
        is_done = False
        try:
            lease.write(call.inputs)
            reply = await self._inner.infer(
                lease.placed(call, metadata),
                timeout_s=deadline - time.monotonic(),
            )
            placed = lease.read(reply, model=call.model_name, server=self.server)
            outputs = {**reply.outputs, **placed}
            is_done = True
        except (RejectedRequestError, ServerOverloadedError) as error:
            if any(text in error.details for text in _VANISHED_TEXTS):
                self._note_vanished(error)
                return None
            is_done = True
            raise
        else:
            return InferReply(model_version=reply.model_version, outputs=outputs)
        finally:
            self._end(lease, is_done=is_done)

    async def _lease(self, plan: RegionPlan, timeout_s: float) -> RegionLease | None:
        """Return the regions for a call, or None if there are none for it."""
        if not plan.inputs and not plan.outputs:
            return None
        lease = RegionLease(plan)
        timeout_s = min(timeout_s, _REGISTER_TIMEOUT_S)
        try:
            if n_bytes := end_of(plan.inputs):
                lease.input = await self._region("input", n_bytes, timeout_s)
            if n_bytes := end_of(plan.outputs):
                lease.output = await self._region("output", n_bytes, timeout_s)
        except (ServerError, InvalidAnswerError, OSError) as error:
            self._end(lease, is_done=True)
            if self._is_on:
                # A server that has it off is what "auto" is for.
                is_off = getattr(error, "status", "") == "UNIMPLEMENTED"
                logger.log(
                    logging.INFO if is_off else logging.WARNING,
                    "no shared memory with %s, calls are sent without it: %s",
                    self.server,
                    error,
                )
            self._is_on = False
            return None
        except BaseException:
            self._end(lease, is_done=True)
            raise
        return lease

    async def _region(
        self, direction: Direction, n_bytes: int, timeout_s: float
    ) -> Region:
        region = self._pool.take(direction, n_bytes)
        if region is not None:
            self._in_use.add(region)
            return region
        if small := self._pool.take_too_small(direction):
            self._retire(small)
        await self._unregister_retired()
        region = Region(direction, grown_size(n_bytes))
        self._in_use.add(region)
        try:
            await self._inner.register_region(
                region.name,
                key=region.key,
                n_bytes=region.n_bytes,
                timeout_s=timeout_s,
            )
        except BaseException:
            self._retire(region)
            raise
        return region

    def _end(self, lease: RegionLease, *, is_done: bool) -> None:
        for region in lease.regions:
            if region not in self._in_use:
                continue  # discarded by `close` in the meantime
            if is_done:
                self._in_use.discard(region)
                self._pool.give_back(region)
            else:
                self._retire(region)

    def _retire(self, region: Region) -> None:
        self._in_use.discard(region)
        region.discard()
        self._retired.append(region.name)

    async def _unregister_retired(self) -> None:
        retired, self._retired = self._retired, []
        for name in retired:
            if not await self._unregister(name):
                self._retired.append(name)

    async def _unregister(self, name: str) -> bool:
        try:
            await self._inner.unregister_region(name, timeout_s=_UNREGISTER_TIMEOUT_S)
        except (ServerError, InvalidAnswerError) as error:
            # Such as "in use"; the server frees the memory when it unmaps it.
            logger.debug("region %s stays with %s: %s", name, self.server, error)
            return False
        return True

    def _note_vanished(self, error: ServerError) -> None:
        """Give up all regions: the server was restarted, or another client did it."""
        for region in self._pool.clear():
            self._retire(region)
        if not self._has_warned:
            logger.warning(
                "%s has lost its shared memory, the call is sent without it: %s",
                self.server,
                error,
            )
            self._has_warned = True
