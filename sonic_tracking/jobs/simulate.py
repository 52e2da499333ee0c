"""Simulated events in files, by one process or several."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from producers import SpacePointWriter, TruthWriter, simulation
from producers.io import RootForm
from producers.simulation import SimulatedEvent, SimulationConfig
from sonic_base import SonicError
from sonic_tracking.errors import MAIN_GUARD, require_main_guard
from sonic_tracking.outputs import check_outputs, counted
from sonic_tracking.progress import progress_bar

__all__ = ["SimulationReport", "simulate"]

EVENTS_PER_BLOCK = 32
"""Events that a process makes at once; it sets up the detector anew for each block."""


class WorkerDiedError(SonicError):
    """A process was ended from outside, for example because memory ran out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationReport:
    """The files of a simulation, what they hold, and how long it took."""

    events: Path
    truth: Path
    n_events: int
    n_space_points: int
    n_particles: int
    elapsed_s: float

    def __repr__(self) -> str:
        n_events = counted(self.n_events, "event")
        points = counted(self.n_space_points, "space point")
        return f"<SimulationReport: {n_events}, {points} in {self.events}>"

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a table."""
        rate = self.n_events / self.elapsed_s
        return [
            ("events", str(self.n_events)),
            ("space points", str(self.n_space_points)),
            ("particles with hits", str(self.n_particles)),
            ("elapsed", f"{self.elapsed_s:.1f} s ({rate:.2f} events/s)"),
            ("written", f"{self.events}, {self.truth}"),
        ]


# Any: the fields of a SimulationConfig.
def simulate(
    events: str | Path,
    truth: str | Path,
    config: SimulationConfig | None = None,
    *,
    form: RootForm = "ttree",
    n_processes: int = 1,
    force: bool = False,
    progress: bool = False,
    **settings: Any,
) -> SimulationReport:
    """Simulate events of the generic detector: ``sonic simulate`` as a function.

    The events and their order do not depend on the number of processes.

    Parameters
    ----------
    events, truth : path
        ROOT files for the space points (mm) and for the truth (mm, GeV).
    config : SimulationConfig, optional
    form : {"ttree", "rntuple"}
        Form of the files.
    n_processes : int
        If it is more than one, a script needs the call below
        ``if __name__ == "__main__":``, because each process imports the script.
    force : bool
        Whether files that exist are replaced.
    progress : bool
        Whether to show the progress on stderr.
    **settings
        Fields of a `producers.simulation.SimulationConfig`, such as ``n_events``,
        ``generator`` ("gun", "pythia8" or "hepmc3"), ``seed``, ``pileup``; they go
        before those of `config`.

    Returns
    -------
    SimulationReport

    Raises
    ------
    RefusedOutputError, OutputError
        If a file must not or cannot be written; found before any event is made.
    ConfigError
        As `producers.simulation.simulate`.
    WorkerDiedError
        If one of several processes was ended from outside.

    Examples
    --------
    >>> from sonic_tracking import simulate
    >>> report = simulate("events.root", "truth.root", n_events=10, generator="gun")
    >>> report.n_space_points
    """
    events, truth = Path(events), Path(truth)
    config = (
        SimulationConfig(**settings) if config is None else replace(config, **settings)
    )
    check_outputs(
        {"events": events, "truth": truth}, inputs=config.hepmc3_files, force=force
    )
    if n_processes > 1:
        require_main_guard()
    start = time.perf_counter()
    n_space_points = n_particles = 0
    with (
        SpacePointWriter(events, form=form, force=force) as point_writer,
        TruthWriter(truth, form=form, force=force) as truth_writer,
        progress_bar(
            "simulate", config.n_events, unit="events", is_shown=progress
        ) as show,
    ):
        for done, event in enumerate(_events(config, n_processes), start=1):
            point_writer.write(event)
            truth_writer.write(event)
            n_space_points += len(event.xyz)
            n_particles += len(event.particles["particle_id"])
            show(done)
        # Both before either gets its name, so that there are both or none.
        point_writer.finish()
        truth_writer.finish()
    return SimulationReport(
        events=events,
        truth=truth,
        n_events=config.n_events,
        n_space_points=n_space_points,
        n_particles=n_particles,
        elapsed_s=time.perf_counter() - start,
    )


def _events(config: SimulationConfig, n_processes: int) -> Iterator[SimulatedEvent]:
    blocks = _blocks(config, n_processes)
    if len(blocks) == 1:
        yield from simulation.simulate(config)
        return
    with _processes(min(n_processes, len(blocks))) as pool:
        waiting: deque[Future[list[SimulatedEvent]]] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(_simulate_block, block))
                # One block ahead of each process, so that memory stays bounded.
                if len(waiting) > 2 * n_processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "a simulation process was ended from outside; if memory ran out, "
                f"ask for fewer; {MAIN_GUARD}"
            ) from error


def _blocks(config: SimulationConfig, n_processes: int) -> list[SimulationConfig]:
    if n_processes == 1:
        return [config]
    size = min(EVENTS_PER_BLOCK, -(-config.n_events // n_processes))
    return [
        replace(
            config,
            first_event=config.first_event + start,
            n_events=min(size, config.n_events - start),
        )
        for start in range(0, config.n_events, size)
    ]


def _simulate_block(config: SimulationConfig) -> list[SimulatedEvent]:
    return list(simulation.simulate(config))


@contextmanager
def _processes(n: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned: a fork would copy the locks of other threads in their current state.
    pool = ProcessPoolExecutor(
        n,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_DFL),  # ends at Ctrl-C without a traceback
    )
    others = set(multiprocessing.active_children())
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown()
