"""Particle tracking as a service, in one call: the jobs of the command `sonic`.

In a notebook: ``track("events.root")``, ``find_tracks(xyz)``, ``evaluate(...)``. Names
are loaded when they are first used, so that importing the package takes no time.
`SAMPLE` is a folder with a bundled sample of 20 simulated events, ``events.root``, and
their truth, ``truth.root``.

Public submodules
-----------------
- `bench`: what `sonic bench` measures, for benchmarks of the project.
- `engines`: servers that this machine can run, the client's fallbacks.
- `main`: the command as a typer application.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from pathlib import Path

    from sonic_tracking.errors import MissingExtraError
    from sonic_tracking.jobs.evaluate import evaluate
    from sonic_tracking.jobs.find import find_tracks
    from sonic_tracking.jobs.record import Recording, record
    from sonic_tracking.jobs.serve import RunningServer, serve
    from sonic_tracking.jobs.servers import (
        ModelDescription,
        ServerReport,
        describe,
        servers,
    )
    from sonic_tracking.jobs.simulate import SimulationReport, simulate
    from sonic_tracking.jobs.track import TrackingReport, TrackingResult, track
    from sonic_tracking.jobs.train import TrainingResult, train
    from sonic_tracking.jobs.weights import (
        BundledWeights,
        ImportedWeights,
        MeasuredWeights,
        import_weights,
        list_weights,
        measure_weights,
        write_repository,
    )
    from sonic_tracking.outputs import RefusedOutputError

    SAMPLE: Path

__all__ = [
    "SAMPLE",
    "BundledWeights",
    "ImportedWeights",
    "MeasuredWeights",
    "MissingExtraError",
    "ModelDescription",
    "Recording",
    "RefusedOutputError",
    "RunningServer",
    "ServerReport",
    "SimulationReport",
    "TrackingReport",
    "TrackingResult",
    "TrainingResult",
    "describe",
    "evaluate",
    "find_tracks",
    "import_weights",
    "list_weights",
    "measure_weights",
    "record",
    "serve",
    "servers",
    "simulate",
    "track",
    "train",
    "write_repository",
]

_MODULES = {
    "errors": ("MissingExtraError",),
    "jobs.evaluate": ("evaluate",),
    "jobs.find": ("find_tracks",),
    "jobs.record": ("Recording", "record"),
    "jobs.serve": ("RunningServer", "serve"),
    "jobs.servers": ("ModelDescription", "ServerReport", "describe", "servers"),
    "jobs.simulate": ("SimulationReport", "simulate"),
    "jobs.track": ("TrackingReport", "TrackingResult", "track"),
    "jobs.train": ("TrainingResult", "train"),
    "jobs.weights": (
        "BundledWeights",
        "ImportedWeights",
        "MeasuredWeights",
        "import_weights",
        "list_weights",
        "measure_weights",
        "write_repository",
    ),
    "outputs": ("RefusedOutputError",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "SAMPLE":
        from pathlib import Path  # noqa: PLC0415 - as all names

        return Path(__file__).parent / "sample"
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sonic_tracking.errors import needs_extra  # noqa: PLC0415 - as all names

    # The only package that one of these modules cannot do without is torch.
    with needs_extra("pipeline"):
        module = _importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
