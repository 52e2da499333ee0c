"""Inputs of a model as perf_analyzer takes them: ``--input-data events.json``."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from producers.io.output import close_quietly, output_errors, whole_file
from producers.model.types import AnyArray, JsonObject
from sonic_client import Tensors


class PerfAnalyzerWriter:
    """Writes the inputs of many requests into one JSON file; complete, or not at all.

    ``{"data": [{"FEATURES": {"b64": "...", "shape": [314, 3]}}, ...]}``, one object per
    request. Each request is written at once, so memory does not grow with the file.

    Parameters
    ----------
    path : path
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

    def __init__(self, path: Path | str, *, force: bool = False) -> None:
        self.path, self._force = Path(path), force
        self._n_requests = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            unfinished = stack.enter_context(whole_file(self.path, force=self._force))
            with output_errors(self.path):
                self._file = unfinished.open("w", encoding="ascii")
                stack.callback(close_quietly, self._file)
                self._file.write('{"data": [')
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def write(self, tensors: Tensors) -> None:
        """Add the inputs of one request.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        entry = {name: _entry(np.asarray(array)) for name, array in tensors.items()}
        with output_errors(self.path):
            self._file.write(",\n" if self._n_requests else "\n")
            self._file.write(json.dumps(entry))
        self._n_requests += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def _finish(self, kind: type[BaseException] | None, *_raised: object) -> None:
        if kind is None:
            with output_errors(self.path):
                self._file.write("\n]}\n")
                self._file.close()


def _entry(array: AnyArray) -> JsonObject:
    # KServe's raw form: little-endian, row by row.
    raw = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    text = base64.b64encode(raw.tobytes()).decode()
    return {"b64": text, "shape": list(array.shape)}
