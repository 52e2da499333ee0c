"""Weights directories: tensors in safetensors, everything else in one TOML file."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from exatrkx_pipeline.config import (
    PipelineConfig,
    TorchScriptConfig,
)
from exatrkx_pipeline.errors import WeightsError
from exatrkx_pipeline.networks.build import build_networks
from exatrkx_pipeline.networks.torchscript import ScriptedNetwork
from exatrkx_pipeline.pipeline import DenserEvents, Pipeline
from exatrkx_pipeline.stages.network_stages import NETWORK_NAMES
from sonic_base import (
    ConfigError,
    config_from_mapping,
    config_to_mapping,
    decoding,
    is_there,
    nearest_names,
    toml_content,
)
from sonic_base.input_range import InputCheck, InputRange

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.toml"
TENSOR_FILE = "model.safetensors"
FORMAT_VERSION = 1
RANGE_TABLE = "input_range"
MAX_TENSOR_BYTES = 256 << 20
"""Larger files are refused before they are read: ours have a few MB."""


BUNDLED = Path(__file__).parent


DEFAULT = "generic"
"""Name of the weights that are used if none are named."""


def bundled_weights(name: str = DEFAULT) -> Path:
    """Return the directory of bundled weights, for the generic detector.

    ``generic_pu0`` is for events without pileup, ``generic_pileup`` for those with;
    ``generic`` is both, and the density of an event decides.

    Raises
    ------
    WeightsError
        If no bundled weights have this name.
    """
    if name not in bundled_names():
        raise WeightsError(
            f"no bundled weights {name!r}, {nearest_names(name, bundled_names())}"
        )
    return BUNDLED / name


def bundled_names() -> list[str]:
    """Return the names of the bundled weights."""
    return sorted(file.parent.name for file in BUNDLED.glob(f"*/{CONFIG_FILE}"))


def find_weights(directory: Path | str) -> Path:
    """Return the directory, or the bundled weights of that name if there is none."""
    directory = Path(directory)
    if not is_there(directory) and str(directory) in bundled_names():
        return BUNDLED / directory
    return directory


def save_weights(
    directory: Path,
    pipeline: Pipeline,
    *,
    training: dict[str, Any],
    scores: dict[str, Any],
) -> Path:
    """Write a weights directory.

    Parameters
    ----------
    directory : Path
        Made if it does not exist; files of the same names are replaced.
    pipeline : Pipeline
        Networks and configuration.
    training : dict
        How the weights were made, as plain values: the table ``training``.
    scores : dict
        Figures on events that they were not trained on: the table ``scores``.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    tensors = {
        f"{part}.{name}": tensor.contiguous()
        for part, network in pipeline.networks.items()
        if not isinstance(network, ScriptedNetwork)
        for name, tensor in network.state_dict().items()
    }
    blob = save_tensors(tensors)
    document = {
        "format_version": FORMAT_VERSION,
        "weights_id": _weights_id(blob, pipeline.config),
        "tensors_sha256": hashlib.sha256(blob).hexdigest(),
        "versions": {
            "sonic-tracking": version("sonic-tracking"),
            "torch": torch.__version__,
        },
        "pipeline": config_to_mapping(pipeline.config),
        **_range_table(pipeline.input_check),
        "training": training,
        "scores": scores,
    }
    directory.mkdir(parents=True, exist_ok=True)
    for part, name in _script_names(pipeline.config).items():
        network = pipeline.networks[part]
        assert isinstance(network, ScriptedNetwork)  # as its configuration says
        if network.file.resolve() != (directory / name).resolve():
            shutil.copyfile(network.file, directory / name)
    (directory / TENSOR_FILE).write_bytes(blob)
    (directory / CONFIG_FILE).write_text(tomli_w.dumps(document))
    return directory


def load_weights(
    directory: Path | str, *, device: str = "cpu", warns: bool = True
) -> Pipeline:
    """Read a weights directory into a pipeline ready for use.

    Networks that were imported as TorchScript are programs, and they are executed.

    Parameters
    ----------
    directory : Path or str
        A weights directory, or the name of bundled weights.
    device : str
        The device as torch names it: ``cpu``, ``cuda:0``.
    warns : bool
        Whether weights that do not record what they were trained on are warned of.

    Raises
    ------
    ValueError
        If torch has no such device here.
    WeightsError
        If a file is missing, unreadable or too large; if a tensor is missing, surplus
        or of another shape; if the configuration lacks a key (such as a feature scale)
        or does not belong to the tensors. The message names the directory.
    """
    directory = find_weights(directory)
    document = read_weights_config(directory)
    if "members" in document:
        return _load_set(directory, device, warns=warns)
    config = _pipeline_config(directory)
    blob = _read_tensors(directory)
    checksum = hashlib.sha256(blob).hexdigest()
    if checksum != document["tensors_sha256"]:
        raise WeightsError(
            f"weights {directory}: {TENSOR_FILE} is not the file that {CONFIG_FILE} "
            f"describes: expected sha256 {document['tensors_sha256'][:12]}..., "
            f"got {checksum[:12]}..."
        )
    networks = build_networks(config, directory)
    _fill(dict(zip(NETWORK_NAMES, networks, strict=True)), blob, directory)
    pipeline = Pipeline(
        config,
        *networks,
        weights_id=_weights_id(blob, config),
        input_check=_input_check(document, config, directory, warns=warns),
    )
    return pipeline if device == "cpu" else pipeline.to(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMember:
    """One of the weights in a set, and the events that it is for."""

    weights: str
    """Name of bundled weights, or a directory beside that of the set."""

    up_to_density: float = 0.0
    """Greatest density of its events; the last member takes all others."""


def set_members(directory: Path | str) -> list[tuple[Path, SetMember]]:
    """Return the weights in a set and their directories; empty if it is none.

    A set has no tensors. Its configuration lists other weights with the density up to
    which each is used, rising::

        [[members]]
        weights = "generic_pu0"
        up_to_density = 40.0

        [[members]]
        weights = "generic_pileup"

    Raises
    ------
    WeightsError
        If the configuration cannot be read, or the densities do not rise.
    """
    directory = find_weights(directory)
    tables = read_weights_config(directory).get("members", [])
    where = f"weights {directory}: [[members]]"
    if not isinstance(tables, list):
        raise WeightsError(f"{where}: expected tables, got {tables!r}")
    try:
        members = [config_from_mapping(SetMember, t, where=where) for t in tables]
    except ConfigError as exc:
        raise WeightsError(str(exc)) from exc
    densities = [member.up_to_density for member in members[:-1]]
    if densities != sorted(set(densities)) or not all(d > 0.0 for d in densities):
        raise WeightsError(f"{where}: up_to_density must rise, got {densities}")
    return [
        (
            BUNDLED / member.weights
            if member.weights in bundled_names()
            else directory.parent / member.weights,
            member,
        )
        for member in members
    ]


def _load_set(directory: Path, device: str, *, warns: bool) -> Pipeline:
    """Return the first member, which hands denser events on to the next ones."""
    denser: DenserEvents | None = None
    for folder, member in reversed(set_members(directory)):
        pipeline = load_weights(folder, device=device, warns=warns)
        check = pipeline.input_check
        if denser is not None:
            if denser.pipeline.config.features != pipeline.config.features:
                raise WeightsError(
                    f"weights {directory}: {member.weights} take other features, or "
                    "over other scales, than those after them"
                )
            denser = replace(denser, above=member.up_to_density)
            # Whoever made the set vouches for the member up to this density.
            check = check and check.up_to_density(member.up_to_density)
        pipeline = replace(pipeline, input_check=check, denser=denser)
        denser = DenserEvents(above=0.0, pipeline=pipeline)
    return replace(pipeline, weights_id=weights_id_of(directory) or "")


def weights_id_of(directory: Path | str) -> str | None:
    """Return the id that a configuration records; of a set, that of its members.

    Raises
    ------
    WeightsError
        If the configuration cannot be read.
    """
    document = read_weights_config(directory)
    if "members" not in document:
        recorded: str | None = document.get("weights_id")
        return recorded
    digest = hashlib.sha256()
    for folder, member in set_members(directory):
        digest.update(f"{weights_id_of(folder)} {member.up_to_density!r}\n".encode())
    return digest.hexdigest()[:16]


def record_range(directory: Path | str, input_range: InputRange) -> None:
    """Write the range of the training events into a weights directory.

    Tensors, configuration and id of the weights stay what they are.

    Raises
    ------
    WeightsError
        If its configuration cannot be read or written, or it is a set of weights.
    """
    directory = find_weights(directory)
    document = read_weights_config(directory)
    if "members" in document:
        raise WeightsError(
            f"weights {directory}: a set has no range of its own; measure its members"
        )
    ordered: dict[str, Any] = {}
    for key, value in document.items():
        if key != RANGE_TABLE:
            ordered[key] = value
        if key == "pipeline":
            ordered[RANGE_TABLE] = input_range.to_mapping()
    file = directory / CONFIG_FILE
    written = file.with_suffix(".part")
    try:
        written.write_text(tomli_w.dumps(ordered))
        written.replace(file)
    except OSError as exc:
        raise WeightsError(f"{file}: cannot write: {exc.strerror}") from exc


def _range_table(check: InputCheck | None) -> dict[str, Any]:
    return {} if check is None else {RANGE_TABLE: check.range.to_mapping()}


def _input_check(
    document: Mapping[str, Any],
    config: PipelineConfig,
    directory: Path,
    *,
    warns: bool,
) -> InputCheck | None:
    table = document.get(RANGE_TABLE)
    if table is None:
        if warns:
            logger.warning(
                "weights %s do not record what they were trained on: events in other "
                "units or of other densities will not be noticed; `sonic weights "
                "measure` records it",
                directory,
            )
        return None
    where = f"weights {directory}: [{RANGE_TABLE}]"
    try:
        measured = InputRange.from_mapping(table, where=where)
        return InputCheck(measured, config.features.names, config.features.scales)
    except ConfigError as exc:
        raise WeightsError(str(exc)) from exc


def weights_files(directory: Path | str) -> list[Path]:
    """Return the files of a weights directory; the last is its configuration.

    Raises
    ------
    WeightsError
        If its configuration cannot be read, or it is a set with members that are not
        in the package: their files are elsewhere.
    """
    directory = find_weights(directory)
    members = set_members(directory)
    for _, member in members:
        if member.weights not in bundled_names():
            raise WeightsError(
                f"weights {directory}: a set of weights can be copied only if its "
                f"members are bundled, got {member.weights!r}"
            )
    if members:
        return [directory / CONFIG_FILE]
    scripts = _script_names(_pipeline_config(directory)).values()
    return [directory / name for name in (*scripts, TENSOR_FILE, CONFIG_FILE)]


def _pipeline_config(directory: Path) -> PipelineConfig:
    document = read_weights_config(directory)
    try:
        return config_from_mapping(
            PipelineConfig, document["pipeline"], where="[pipeline]"
        )
    except ConfigError as exc:
        raise WeightsError(f"weights {directory}: {CONFIG_FILE}: {exc}") from exc


def read_weights_config(directory: Path | str) -> dict[str, Any]:
    """Read the TOML file of a weights directory, and check its top level.

    Raises
    ------
    WeightsError
        If it is missing, no TOML, of another format version, or lacks a table.
    """
    directory = find_weights(directory)
    file = directory / CONFIG_FILE
    if not is_there(file):
        bundled = ", ".join(bundled_names())
        raise WeightsError(
            f"weights {directory}: no file {CONFIG_FILE}; give a weights directory, or "
            f"the name of bundled weights: {bundled}"
        )
    try:
        document = toml_content(file)
    except ConfigError as error:
        raise WeightsError(f"weights {error}") from error
    if document.get("format_version") != FORMAT_VERSION:
        raise WeightsError(
            f"weights {directory}: expected format_version {FORMAT_VERSION}, "
            f"got {document.get('format_version')!r}"
        )
    missing = [key for key in ("pipeline", "tensors_sha256") if key not in document]
    if missing and not document.get("members"):
        raise WeightsError(
            f"weights {directory}: {CONFIG_FILE} lacks {', '.join(missing)}"
        )
    return document


def _weights_id(blob: bytes, config: PipelineConfig) -> str:
    """Return an id of tensors and configuration together: another cut, another id."""
    digest = hashlib.sha256(blob)
    digest.update(json.dumps(config_to_mapping(config), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _script_names(config: PipelineConfig) -> dict[str, str]:
    """Return the names of the TorchScript files, by part of the pipeline."""
    parts = {
        "embedding": config.embedding,
        "edge_filter": config.filter,
        "gnn": config.gnn,
    }
    return {
        part: network.torchscript
        for part, network in parts.items()
        if isinstance(network, TorchScriptConfig)
    }


def _read_tensors(directory: Path) -> bytes:
    file = directory / TENSOR_FILE
    try:
        size = file.stat().st_size
        if size > MAX_TENSOR_BYTES:
            raise WeightsError(
                f"weights {directory}: {TENSOR_FILE} has {size} bytes, "
                f"more than the {MAX_TENSOR_BYTES} allowed"
            )
        return file.read_bytes()
    except OSError as exc:
        raise WeightsError(f"weights {directory}: no readable {TENSOR_FILE}") from exc


def _fill(networks: Mapping[str, nn.Module], blob: bytes, directory: Path) -> None:
    where = f"weights {directory}: {TENSOR_FILE}"
    with decoding(lambda reason: WeightsError(f"{where}: {reason}")):
        tensors = load_tensors(blob)
    for part, network in networks.items():
        if isinstance(network, ScriptedNetwork):
            continue
        prefix = f"{part}."
        state = {
            name.removeprefix(prefix): tensors.pop(name)
            for name in list(tensors)
            if name.startswith(prefix)
        }
        try:
            network.load_state_dict(state)
        except RuntimeError as exc:
            reason = " ".join(str(exc).split())  # torch writes a line per tensor
            raise WeightsError(
                f"weights {directory}: {part} does not fit the configured sizes: "
                f"{reason}"
            ) from exc
    if tensors:
        raise WeightsError(
            f"weights {directory}: unknown tensors {', '.join(sorted(tensors)[:3])}"
        )
