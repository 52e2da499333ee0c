"""Networks as TorchScript files, which are run as they are.

A TorchScript file is a program. One in a weights directory is run only if its bytes are
those that were imported, and if the environment names their hash: whoever wrote the
directory wrote the configuration as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from exatrkx_pipeline.config import TorchScriptConfig, TorchScriptEmbedding
from exatrkx_pipeline.errors import WeightsError
from sonic_base import decoding

TRUSTED = "SONIC_TRUST_TORCHSCRIPT"
"""Environment variable with the SHA-256 of the files that may be run, by commas."""


class ScriptedNetwork(nn.Module):
    """A TorchScript program in place of one of the networks.

    Its tensors stay in its file, and are not among those of the weights.
    """

    def __init__(self, script: torch.jit.ScriptModule, file: Path) -> None:
        super().__init__()
        self.script = script
        self.file = file


class ScriptedEmbedding(ScriptedNetwork):
    """Called as `Embedding` is."""

    def __init__(self, script: torch.jit.ScriptModule, file: Path, dim: int) -> None:
        super().__init__(script, file)
        self.dim = dim

    def forward(self, nodes: Tensor) -> Tensor:
        """Coordinates, shape (n_space_points, dim)."""
        if not len(nodes):
            return nodes.new_empty((0, self.dim))
        embedded: Tensor = self.script(nodes)
        return embedded


class ScriptedEdgeNetwork(ScriptedNetwork):
    """Called as `EdgeFilter` and the GNNs are."""

    def forward(self, nodes: Tensor, edge_index: Tensor, edges: Tensor) -> Tensor:
        """Logits, shape (n_edges,); the script gives (n_edges,) or (n_edges, 1)."""
        del edges
        if not edge_index.shape[1]:  # a script may not accept that
            return nodes.new_empty(0)
        logits: Tensor = self.script(nodes, edge_index)
        return logits.reshape(-1)


def load_scripted(directory: Path, config: TorchScriptConfig) -> ScriptedNetwork:
    """The network in a weights directory, in evaluation mode.

    Raises
    ------
    WeightsError
        If the file is missing, not the one that was imported, not in `TRUSTED`, or not
        TorchScript.
    """
    file = directory / config.torchscript
    try:
        found = sha256_of(file)
    except OSError as error:
        raise WeightsError(
            f"weights {directory}: no readable {config.torchscript}"
        ) from error
    if found != config.sha256:
        raise WeightsError(
            f"weights {directory}: {config.torchscript} is not the file that was "
            f"imported: expected sha256 {config.sha256[:12]}..., got {found[:12]}..."
        )
    if found not in map(str.strip, os.environ.get(TRUSTED, "").lower().split(",")):
        raise WeightsError(
            f"weights {directory}: {config.torchscript} is a program (TorchScript), "
            "which would run as you; if you trust those who made it, call sonic with "
            f"--trust-torchscript {found}, or set {TRUSTED} to that"
        )
    script = load_script(file)
    if isinstance(config, TorchScriptEmbedding):
        return ScriptedEmbedding(script, file, config.dim)
    return ScriptedEdgeNetwork(script, file)


def load_script(file: Path) -> torch.jit.ScriptModule:
    """The program in a file, on the CPU, in evaluation mode.

    Raises
    ------
    WeightsError
        If it is not TorchScript.
    """
    load: Callable[..., torch.jit.ScriptModule] = torch.jit.load
    with decoding(lambda reason: WeightsError(f"{file}: not TorchScript: {reason}")):
        # Files saved on a GPU, as the paper's are, would ask for one.
        script = load(str(file), map_location="cpu")
    script.eval()
    return script


def sha256_of(file: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
