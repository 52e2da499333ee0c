"""Inputs of a model as perf_analyzer takes them: ``--input-data events.json``."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from producers.writers.whole_file import check_output, output_errors
from sonic_client.types import Tensors

__all__ = ["PerfAnalyzerWriter"]


class PerfAnalyzerWriter:
    """Writes the inputs of many requests into one JSON file; complete, or not at all.

    ``{"data": [{"FEATURES": {"b64": "...", "shape": [314, 3]}}, ...]}``, one object per
    request. Written request by request: memory does not grow with the file.

    Parameters
    ----------
    path : path
    as_numbers : bool
        Whether values are numbers (``content``), larger and for people to read,
        rather than their bytes in base64.
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputExistsError, OutputError
        On entering, if the file must not or cannot be written.

    Notes
    -----
    Format: triton-inference-server/perf_analyzer, ``docs/input_data.md``.
    """

    def __init__(
        self, path: Path | str, *, as_numbers: bool = False, force: bool = False
    ) -> None:
        self.path = Path(path)
        self._as_numbers, self._force = as_numbers, force
        self._unfinished = self.path.with_name(f".{self.path.name}.part")
        self._n_requests = 0

    def __enter__(self) -> Self:
        check_output(self.path, force=self._force)
        with output_errors(self.path):
            self._file = self._unfinished.open("w", encoding="ascii")
            self._file.write('{"data": [')
        return self

    def write(self, tensors: Tensors) -> None:
        """Add the inputs of one request.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        entry = {name: self._entry(np.asarray(a)) for name, a in tensors.items()}
        with output_errors(self.path):
            self._file.write(",\n" if self._n_requests else "\n")
            self._file.write(json.dumps(entry))
        self._n_requests += 1

    # Any: numbers of any type; JSON values of several kinds.
    def _entry(self, array: Any) -> dict[str, Any]:
        shape = list(array.shape)
        if self._as_numbers:
            return {"content": array.ravel().tolist(), "shape": shape}
        # KServe's raw form: little-endian, row by row.
        raw = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        return {"b64": base64.b64encode(raw.tobytes()).decode(), "shape": shape}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with output_errors(self.path), self._file:
                if kind is None:
                    self._file.write("\n]}\n")
            if kind is None:
                with output_errors(self.path):
                    self._unfinished.replace(self.path)
        finally:
            self._unfinished.unlink(missing_ok=True)
