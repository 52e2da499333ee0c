"""Finds tritonserver: in a Python environment's wheel, or on PATH."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sonic_base import SonicError
from sonic_tracking.engines import interpreter

__all__ = ["TritonInstallation", "TritonNotFoundError", "find_triton"]

BACKEND, STUB = "python", "triton_python_backend_stub"
PROBE_LIMIT_S = 30.0
NEWEST_NUMPY = 1
"""The wheel's python backend was built before numpy 2 moved its fields."""


class TritonNotFoundError(SonicError):
    """No tritonserver was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonInstallation:
    """A tritonserver binary, with the folders that it needs."""

    binary: Path

    python_backend: Path | None = None
    """Folder of the python backend, unless the binary finds it by itself."""

    python_stub: Path | None = None
    """The program that hosts a python model, built for one version of Python."""

    library_path: tuple[str, ...] = ()
    """Folders for ``LD_LIBRARY_PATH``."""

    program_path: tuple[str, ...] = ()
    """Folders for ``PATH``. The stub of Python 3.11 and later runs isolated and ignores
    ``PYTHONPATH``: the first ``python3`` on PATH decides what models can import; if it
    belongs to a virtual environment, that is used."""

    def backend_links(self) -> dict[str, Path]:
        """Return the links for a backend directory, by relative path; empty if none."""
        if self.python_backend is None or self.python_stub is None:
            return {}
        files = {
            f"{BACKEND}/{file.name}": file
            for file in sorted(self.python_backend.iterdir())
            if file.is_file()
        }
        return files | {f"{BACKEND}/{STUB}": self.python_stub}


def find_triton(python: Path | None = None) -> TritonInstallation:
    """Return the tritonserver of a Python environment, or else the one on PATH.

    Parameters
    ----------
    python : Path, optional
        Interpreter of the environment with the extra ``triton`` and the imports of the
        models; by default this interpreter.

    Raises
    ------
    TritonNotFoundError
        If there is none, or `python` cannot be run.
    """
    facts = interpreter.interpreter_facts() if python is None else _ask(python)
    on_path = shutil.which("tritonserver")
    if facts["pytriton"] is not None:
        return _in_wheel(facts)
    if python is None and on_path is not None:
        return TritonInstallation(binary=Path(on_path), program_path=(facts["bindir"],))
    raise TritonNotFoundError(
        f"no tritonserver in the environment of {python}: "
        "there, pip install 'sonic-tracking[pipeline,triton]'"
        if python is not None
        else "no tritonserver on PATH or in this Python environment: "
        "pip install 'sonic-tracking[triton]' (it needs numpy < 2: an environment of "
        "its own, named by --python, will do), or name a container by --container"
    )


# Any: parsed JSON.
def _ask(python: Path) -> dict[str, Any]:
    command = [str(python), str(interpreter.__file__)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=True
        )
        facts: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise TritonNotFoundError(f"{python}: no usable Python: {reason}") from error
    return facts


def _in_wheel(facts: Mapping[str, Any]) -> TritonInstallation:
    root = Path(facts["pytriton"]) / "tritonserver"
    binary = root / "bin" / "tritonserver"
    stub = root / "python_backend_stubs" / facts["version"] / STUB
    missing = [path for path in (binary, stub) if not path.is_file()]
    if missing:
        raise TritonNotFoundError(
            f"nvidia-pytriton is there, but lacks {missing[0]}: expected a wheel that "
            f"carries tritonserver for Python {facts['version']}, such as 0.7.0"
        )
    numpy = facts["numpy"]
    if numpy is not None and int(numpy.partition(".")[0]) > NEWEST_NUMPY:
        raise TritonNotFoundError(
            f"nvidia-pytriton is there, but so is numpy {numpy}: expected numpy < 2, "
            "with a later one its models see zeros for every tensor"
        )
    return TritonInstallation(
        binary=binary,
        python_backend=root / "backends" / BACKEND,
        python_stub=stub,
        library_path=(
            str(root.parents[1] / "nvidia_pytriton.libs"),
            facts["libdir"],
        ),
        program_path=(facts["bindir"],),
    )
