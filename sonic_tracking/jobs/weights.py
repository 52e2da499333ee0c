"""Weights: what is bundled, imports, ranges; and what a real Triton loads."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exatrkx_pipeline import Pipeline
from exatrkx_pipeline import repository as pipeline_repository
from exatrkx_pipeline.config import (
    FeatureConfig,
    GnnConfig,
    GraphConfig,
    TorchScriptConfig,
    TrackBuildingConfig,
)
from exatrkx_pipeline.model_names import SERVED_MODELS
from exatrkx_pipeline.repository import Device, plan_repository
from exatrkx_pipeline.weights import (
    CONFIG_FILE,
    DEFAULT,
    TENSOR_FILE,
    Cuts,
    bundled_names,
    find_weights,
    import_networks,
    load_weights,
    measure_input_range,
    read_weights_config,
    record_range,
    save_weights,
    set_members,
    weights_files,
    weights_id_of,
)
from producers import (
    ColumnMapping,
    FeatureScale,
    OutputError,
    node_features,
    open_events,
)
from producers.io import output_errors
from sonic_base import ConfigError, config_from_mapping, toml_content
from sonic_base.input_range import InputRange
from sonic_tracking.columns import point_columns
from sonic_tracking.outputs import Json, RefusedOutputError
from sonic_tracking.progress import progress_bar

__all__ = [
    "BundledWeights",
    "ImportedWeights",
    "MeasuredWeights",
    "import_weights",
    "list_weights",
    "measure_weights",
    "write_repository",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledWeights:
    """Weights in the package, and the events that they are for."""

    name: str
    weights_id: str
    is_default: bool
    input_range: InputRange | None
    """Range of the events that they were trained on; None for a set of weights."""

    members: tuple[str, ...] = ()
    """The weights of a set."""

    def row(self) -> tuple[str, str]:
        """Return name and description, for a table."""
        default = ", used if none are named" if self.is_default else ""
        if self.members:
            return self.name, f"{' and '.join(self.members)}, by density{default}"
        if self.input_range is None:
            return self.name, f"range not recorded{default}"
        return self.name, f"{described_range(self.input_range)}{default}"


def described_range(known: InputRange) -> str:
    """Return in a few words which events weights were trained on."""
    points, density = known.space_points, known.density
    spans = [
        f"{name} {spread.least:.4g} to {spread.greatest:.4g}"
        for name, spread in known.features.items()
        if name != "phi"
    ]
    return (
        f"{points.low:.0f} to {points.high:.0f} space points an event, density "
        f"{density.least:.0f} to {density.greatest:.0f}, {', '.join(spans)} mm"
    )


def list_weights() -> tuple[BundledWeights, ...]:
    """Return what is bundled: ``sonic weights list`` as a function."""
    return tuple(map(_bundled, bundled_names()))


def _bundled(name: str) -> BundledWeights:
    table = read_weights_config(name).get("input_range")
    return BundledWeights(
        name=name,
        weights_id=weights_id_of(name) or "",
        is_default=name == DEFAULT,
        input_range=table and InputRange.from_mapping(table, where=name),
        members=tuple(member.weights for _, member in set_members(name)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredWeights:
    """The range of the events that weights were trained on, as it was recorded."""

    weights: Path
    input_range: InputRange

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a table."""
        known = self.input_range
        rows = [("events", str(known.n_events))]
        rows += [(name, _numbers(each.values)) for name, each in known.features.items()]
        rows += [
            ("space points", _numbers(known.space_points.values)),
            ("density", _numbers(known.density.values)),
            ("pairs a point", _numbers(known.edges_per_point.values)),
            ("share on candidates", _numbers(known.on_candidates.values)),
            ("written", str(self.weights)),
        ]
        return rows


def _numbers(values: Sequence[float]) -> str:
    least, low, high, greatest = (f"{value:.4g}" for value in values)
    return f"{least} to {greatest}, 98 % of them {low} to {high}"


def measure_weights(
    weights: str | Path,
    files: str | Path | Sequence[str | Path],
    *,
    format: str | None = None,
    columns: ColumnMapping | Mapping[str, object] | str | Path | None = None,
    unit: str | None = None,
    csv_scale: FeatureScale | None = None,
    max_events: int | None = None,
    progress: bool = False,
) -> MeasuredWeights:
    """Record the range of the events that weights were trained on.

    ``sonic weights measure`` as a function. A training does it by itself; imported
    weights, and those of earlier versions, lack it, and without it no event in other
    units or of another density is noticed. Tensors and id do not change.

    Parameters
    ----------
    weights : path
        A folder of weights.
    files : path, or sequence of paths
        Events like those of the training, of each kind that it had.
    format, columns, unit, csv_scale
        As in `track`.
    max_events : int, optional
        Events of each file that are read; by default all.
    progress : bool
        Whether to show the progress on stderr.

    Raises
    ------
    ConfigError
        If the weights are the name of bundled ones: others use them, too.
    WeightsError
        If the weights cannot be read or written, or no event has space points.
    DataError
        If a file cannot be read.
    """
    folder = find_weights(weights)
    if folder != Path(weights):
        raise ConfigError(
            f"weights {weights}: the range of bundled weights is known and not "
            f"changed; name a folder, such as a copy of {folder}"
        )
    pipeline = load_weights(folder, warns=False)
    paths = [files] if isinstance(files, str | Path) else list(files)
    scale = FeatureScale(*pipeline.config.features.scales)
    sources = [
        open_events(
            path,
            format=format,
            columns=point_columns(columns),
            unit=unit,
            csv_scale=csv_scale,
            max_events=max_events,
        )
        for path in paths
    ]
    n_events = sum(map(len, sources))
    with progress_bar("measure", n_events, unit="events", is_shown=progress) as show:

        def features() -> Iterator[NDArray[np.float32]]:
            events = (e for source in sources for chunk in source for e in chunk)
            for number, event in enumerate(events):
                yield node_features(event.xyz, scale)
                show(number + 1)

        measured = measure_input_range(pipeline, features())
    record_range(folder, measured)
    return MeasuredWeights(weights=folder, input_range=measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedWeights:
    """A folder of weights that was made from other files."""

    output: Path
    weights_id: str
    has_own_gnn: bool
    """Whether the GNN is the paper's and runs as our own network."""

    programs: tuple[str, ...]
    """SHA-256 of each TorchScript file; such weights load only where these are in the
    environment variable ``SONIC_TRUST_TORCHSCRIPT``, by commas."""

    def rows(self) -> list[tuple[str, str]]:
        """Return how each network will run, for a table."""
        script = "TorchScript, run as it is"
        return [
            ("embed", script),
            ("filter", script),
            ("gnn", "ResAGNN, our own" if self.has_own_gnn else script),
            ("weights", f"{self.weights_id} in {self.output}"),
            *(("run by", f"sonic --trust-torchscript {p} ...") for p in self.programs),
        ]


def import_weights(
    embed: str | Path,
    filter: str | Path,
    gnn: str | Path,
    config: str | Path,
    output: str | Path,
    *,
    force: bool = False,
) -> ImportedWeights:
    """Make a weights folder from networks in exatrkx-service's form.

    Parameters
    ----------
    embed, filter, gnn : path
        TorchScript files; `gnn` may hold the tensors of a ResAGNN instead.
    config : path
        TOML file with the tables features, graph, filter, track_building and, if
        needed, gnn: the scales and cuts, which the files lack.
    output : path
        Folder for the weights.
    force : bool
        Whether weights that exist are replaced.

    Raises
    ------
    ConfigError
        If the configuration lacks a cut or a scale, or has a wrong one.
    WeightsError
        If a file does not hold such a network.
    RefusedOutputError, OutputError
        If the output exists already, or cannot be written.
    """
    output = Path(output)
    check_folder(output, force=force)
    files = {"embed": Path(embed), "filter": Path(filter), "gnn": Path(gnn)}
    cuts = _read_cuts(Path(config))
    pipeline = import_networks(files["embed"], files["filter"], files["gnn"], cuts)
    write_weights(
        output,
        pipeline,
        training={"imported": {part: file.name for part, file in files.items()}},
        scores={},
    )
    return ImportedWeights(
        output=output,
        weights_id=read_weights_config(output)["weights_id"],
        has_own_gnn=isinstance(pipeline.config.gnn, GnnConfig),
        programs=tuple(
            part.sha256
            for part in (
                pipeline.config.embedding,
                pipeline.config.filter,
                pipeline.config.gnn,
            )
            if isinstance(part, TorchScriptConfig)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilterTable:
    filter_cut: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _GnnTable:
    n_graph_iters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _CutsFile:
    """The tables of the configuration file."""

    features: FeatureConfig
    graph: GraphConfig
    filter: _FilterTable
    track_building: TrackBuildingConfig
    gnn: _GnnTable | None = None


def _read_cuts(file: Path) -> Cuts:
    read = config_from_mapping(_CutsFile, toml_content(file), where=str(file))
    return Cuts(
        features=read.features,
        graph=read.graph,
        filter_cut=read.filter.filter_cut,
        track_building=read.track_building,
        n_graph_iters=None if read.gnn is None else read.gnn.n_graph_iters,
    )


def write_repository(
    output: str | Path,
    *,
    weights: str | Path | None = None,
    models: Sequence[str] = SERVED_MODELS,
    instances: int = 1,
    device: Device = "cpu",
    force: bool = False,
) -> dict[str, str]:
    """Write a Triton model repository from the pipeline and its weights.

    Parameters
    ----------
    output : path
        Folder for the models.
    weights : path, optional
        Folder of weights, copied into each model; by default the bundled ones, which
        are named.
    models : sequence of str
        Some of `exatrkx_pipeline.model_names.SERVED_MODELS`; by default all.
    instances : int
        Requests that each model computes at once.
    device : {"cpu", "gpu"}
        Where the networks compute.
    force : bool
        Whether models that exist are replaced.

    Returns
    -------
    dict of str to str
        By model, its device, or ``ensemble``.

    Raises
    ------
    ConfigError
        If there is no such model.
    WeightsError
        If the weights cannot be used.
    RefusedOutputError
        If a model exists already, and `force` is not set.
    OutputError
        If the folder cannot be written.
    """
    output = Path(output)
    weights = None if weights is None else Path(weights)
    plans = plan_repository(models, weights=weights, instances=instances, device=device)
    _require_possible_folder(output)
    there = [plan.name for plan in plans if (output / plan.name).exists()]
    if there and not force:
        raise RefusedOutputError(
            f"{output}: has {', '.join(there)} already; "
            "--force (force=True) replaces them"
        )
    with output_errors(output):
        pipeline_repository.write_repository(output, plans, weights)
    return {plan.name: "ensemble" if plan.steps else plan.device for plan in plans}


def _require_possible_folder(output: Path) -> None:
    with output_errors(output):
        if output.exists() and not output.is_dir():
            raise OutputError(output, "is a file, expected a folder")
        parent = output.resolve().parent
        if not parent.is_dir():
            raise OutputError(output, f"folder {str(output.parent)!r} does not exist")
        if not os.access(output if output.exists() else parent, os.W_OK):
            raise OutputError(output, "cannot be written to; choose another folder")


def check_folder(output: Path, *, force: bool) -> None:
    """Refuse a folder for weights before the work starts.

    Raises
    ------
    RefusedOutputError
        If it has weights and `force` is not set.
    OutputError
        If it is a file, cannot be written to, or its parent does not exist.
    """
    _require_possible_folder(output)
    has_weights = any((output / name).exists() for name in (TENSOR_FILE, CONFIG_FILE))
    if has_weights and not force:
        raise RefusedOutputError(
            f"{output}: has weights already; --force (force=True) replaces them"
        )


def write_weights(
    output: Path, pipeline: Pipeline, *, training: Json, scores: Json
) -> None:
    """Write a weights folder, made if needed; old weights stay until all is written.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with (
        output_errors(output),
        tempfile.TemporaryDirectory(
            prefix=".weights-",
            dir=output.resolve().parent,
            ignore_cleanup_errors=True,  # they would hide the error
        ) as folder,
    ):
        made = save_weights(Path(folder), pipeline, training=training, scores=scores)
        output.mkdir(exist_ok=True)
        for file in weights_files(made):
            file.replace(output / file.name)
