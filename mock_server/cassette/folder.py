"""Recorded exchanges, and their folder: JSON that lists them, npz files with the data.

.. code-block:: text

    cassette/
      cassette.json      format, decimals, and each model's configuration
      exchanges.jsonl    a line a request: model, key, shapes, responses
      answers/KEY.npz    wire form of the outputs: r0.o0, r0.o1, ...

Nothing in it is pickled, and nothing in it is run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import grpc
import numpy as np
from tritonclient.grpc.model_config_pb2 import ModelConfig

from mock_server.errors import CassetteError, ModelError
from mock_server.model.config_message import Json, as_text, parse_text
from mock_server.model.declaration import AnyArray
from mock_server.wire.codec import RawTensor, decode, encode
from mock_server.wire.inference import InferenceRequest, InferenceResponse
from sonic_base import check_inflated_size, decoding, whole_file

FORMAT = 1

_FLOATS = ("FP16", "BF16", "FP32", "FP64")
_WRONG_CONTENT = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What a document of another kind raises where it is taken for a cassette's."""

MAX_TEXT = 64 * 1024**2
"""Most characters of ``cassette.json``, and of a line of ``exchanges.jsonl``."""

_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to a model, and every response to it."""

    model_name: str

    key: str
    """See `key_of`."""

    shapes: str
    """The inputs as text, to find similar requests."""

    responses: tuple[InferenceResponse, ...]
    """Outputs or errors; ids and versions are not recorded."""


class Cassette:
    """Recorded exchanges of a folder; may be added to from any thread.

    Every exchange is on disk when `add` returns, so an interrupted recording keeps
    what it has.

    Parameters
    ----------
    folder : Path
    models : mapping of str to (ModelConfig, str)
        Configuration and version of each model.
    decimals : int, optional
        Floats of requests and answers are rounded to this.

    Attributes
    ----------
    failure : OSError or None
        Why a recorder could not write, such as a full disk; it records no more then.
    failed : threading.Event
        Set together with it.
    """

    def __init__(
        self,
        folder: Path,
        models: Mapping[str, tuple[ModelConfig, str]],
        *,
        decimals: int | None = None,
    ) -> None:
        self.folder = folder
        self.models = dict(models)
        self.decimals = decimals
        self.size_bytes = 0
        self.failure: OSError | None = None
        self.failed = threading.Event()
        self._lock = threading.Lock()
        self._exchanges: dict[tuple[str, str], Exchange] = {}

    @classmethod
    def create(
        cls,
        folder: Path,
        models: Mapping[str, tuple[ModelConfig, str]],
        *,
        decimals: int | None = None,
    ) -> Cassette:
        """Make an empty cassette in a folder, which is made if it does not exist.

        Raises
        ------
        CassetteError
            If it is a file, or a folder that is not empty.
        OSError
            If it cannot be written; nothing is left then.
        """
        if folder.exists() and not folder.is_dir():
            raise CassetteError(f"{folder}: is a file, expected a folder")
        if folder.exists() and any(folder.iterdir()):
            raise CassetteError(f"{folder}: there is something in it already")
        is_new = not folder.exists()
        content = {
            "format": FORMAT,
            "decimals": decimals,
            "models": {
                name: {"version": version, "config": as_text(config)}
                for name, (config, version) in models.items()
            },
        }
        try:
            (folder / "answers").mkdir(parents=True, exist_ok=True)
            (folder / "cassette.json").write_text(json.dumps(content, indent=1) + "\n")
            (folder / "exchanges.jsonl").touch()
        except OSError:
            for made in (folder,) if is_new else folder.glob("*"):
                shutil.rmtree(made, ignore_errors=True)
                with suppress(OSError):
                    made.unlink(missing_ok=True)
            raise
        return cls(folder, models, decimals=decimals)

    @classmethod
    def load(cls, folder: Path) -> Cassette:
        """Read a folder.

        Raises
        ------
        CassetteError
            If it is not a cassette; the message names the file.
        """
        path = folder / "cassette.json"
        try:
            with path.open(encoding="utf-8") as file:
                cassette = cls._of_content(
                    folder, json.loads(_up_to(file.read(MAX_TEXT + 1)))
                )
            path = folder / "exchanges.jsonl"
            with path.open(encoding="utf-8") as file:
                for described in _complete_lines(file):
                    exchange = _read_exchange(folder, described)
                    cassette._exchanges[exchange.model_name, exchange.key] = exchange
        except OSError as error:
            raise CassetteError(f"{path}: cannot read: {error.strerror}") from error
        except CassetteError:
            raise
        except _WRONG_CONTENT as error:
            raise CassetteError(f"{path}: not a cassette: {error}") from error
        return cassette

    @classmethod
    def _of_content(cls, folder: Path, content: Json) -> Cassette:
        if content["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {content['format']!r}")
        models = {
            name: (parse_text(each["config"]), each["version"])
            for name, each in content["models"].items()
        }
        return cls(folder, models, decimals=content["decimals"])

    def exchanges(self, model_name: str) -> list[Exchange]:
        """Return all exchanges of one model, in the order of recording."""
        with self._lock:
            return [e for e in self._exchanges.values() if e.model_name == model_name]

    def find(self, model_name: str, key: str) -> Exchange | None:
        """Return the exchange of a request, if it was recorded."""
        return self._exchanges.get((model_name, key))

    def __len__(self) -> int:
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Write an exchange, unless its request was recorded already.

        Raises
        ------
        OSError
            If it cannot be written; the cassette is as before then.
        """
        with self._lock:
            if (exchange.model_name, exchange.key) in self._exchanges:
                return
            arrays: dict[str, Any] = {  # Any: savez takes options by keyword, too
                f"r{r}.o{o}": np.frombuffer(tensor.data, np.uint8)
                for r, response in enumerate(exchange.responses)
                for o, tensor in enumerate(response.outputs)
            }
            answers = _answers(self.folder, exchange.key)
            with whole_file(answers) as unfinished, unfinished.open("wb") as file:
                np.savez_compressed(file, **arrays)
            line = json.dumps(_described(exchange)) + "\n"
            _append(self.folder / "exchanges.jsonl", line.encode())
            self.size_bytes += answers.stat().st_size + len(line)
            self._exchanges[exchange.model_name, exchange.key] = exchange


def _complete_lines(file: TextIO) -> Iterator[Json]:
    while line := _up_to(file.readline(MAX_TEXT + 1)):
        try:
            described: Json = json.loads(line)
        except ValueError:
            if line.endswith("\n"):
                raise
            return  # the recording was killed while it wrote the last line
        yield described


def _up_to(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"a text of more than {MAX_TEXT} characters")
    return text


def _append(path: Path, line: bytes) -> None:
    """Append a line to a file: all of it, or nothing."""
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[file.write(line) :]
        except OSError:
            file.truncate(size)
            raise


def key_of(request: InferenceRequest, decimals: int | None) -> str:
    """Return a digest of all that an answer may depend on: not of the request's id.

    The order of inputs does not count. Floats are rounded to `decimals` first, so that
    a difference in the last place does not make another request.
    """
    digest = hashlib.sha256()
    facts = {
        "model": request.model_name,
        "outputs": sorted(output.name for output in request.outputs),
        "parameters": dict(request.parameters),
        "sequence": [
            request.correlation_id,
            request.sequence_start,
            request.sequence_end,
        ],
    }
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for tensor in sorted(request.inputs):
        name, datatype, shape, data = rounded(tensor, decimals)
        digest.update(json.dumps([name, datatype, shape, len(data)]).encode())
        digest.update(data)
    return digest.hexdigest()


def rounded(tensor: RawTensor, decimals: int | None) -> RawTensor:
    """Return a tensor with its floats rounded to `decimals`; None: as it is."""
    if decimals is None or tensor.datatype not in _FLOATS:
        return tensor
    try:
        array = decode(tensor.data, tensor.datatype, tensor.shape)
    except ValueError:  # its data does not fill its shape: nothing to round
        return tensor
    # Adding zero makes -0.0 the same as 0.0.
    data = encode(np.round(array, decimals) + array.dtype.type(0), tensor.datatype)
    return tensor._replace(data=data)


def shapes_text(request: InferenceRequest) -> str:
    """Return the inputs as text: ``X FP32[3,3]``."""
    return ", ".join(
        f"{name} {datatype}[{','.join(map(str, shape))}]"
        for name, datatype, shape, _ in sorted(request.inputs)
    )


def _answers(folder: Path, key: str) -> Path:
    return folder / "answers" / f"{key}.npz"


def _described(exchange: Exchange) -> Json:
    responses = []
    for response in exchange.responses:
        error = response.error
        responses.append(
            {
                "code": "OK" if error is None else error.code.name,
                "text": "" if error is None else error.message,
                "outputs": [tensor[:3] for tensor in response.outputs],
            }
        )
    return {
        "model": exchange.model_name,
        "key": exchange.key,
        "shapes": exchange.shapes,
        "responses": responses,
    }


def _read_exchange(folder: Path, described: Json) -> Exchange:
    key = described["key"]
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key of an exchange")
    model_name = described["model"]
    arrays = _read_arrays(_answers(folder, key))
    responses = tuple(
        _read_response(arrays, number, model_name, each)
        for number, each in enumerate(described["responses"])
    )
    return Exchange(model_name, key, described["shapes"], responses)


def _read_arrays(path: Path) -> dict[str, AnyArray]:
    with (
        decoding(lambda reason: CassetteError(f"{path}: cannot read: {reason}")),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        check_inflated_size(arrays.zip)
        return {name: arrays[name] for name in arrays.files}


def _read_response(
    arrays: Mapping[str, AnyArray], number: int, model_name: str, described: Json
) -> InferenceResponse:
    outputs = tuple(
        RawTensor(name, datatype, tuple(shape), arrays[f"r{number}.o{o}"].tobytes())
        for o, (name, datatype, shape) in enumerate(described["outputs"])
    )
    error = None
    if described["code"] != "OK":
        error = ModelError(grpc.StatusCode[described["code"]], described["text"])
    return InferenceResponse(
        model_name=model_name, model_version="", outputs=outputs, error=error
    )
