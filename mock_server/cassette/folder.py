"""A cassette on disk: JSON that says what there is, and npz files with the data.

.. code-block:: text

    cassette/
      cassette.json      format, decimals, and each model's configuration
      exchanges.jsonl    a line a request: model, key, shapes, responses
      answers/KEY.npz    wire form of the outputs: r0.o0, r0.o1, ...

Nothing in it is pickled, and nothing in it is run.
"""

from __future__ import annotations

import json
import re
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2

from mock_server.cassette.exchange import Exchange, RecordedResponse
from mock_server.model.config_message import as_text, parse_text
from mock_server.wire.codec import RawTensor

FORMAT = 1

_KEY = re.compile(r"[0-9a-f]{64}")


class CassetteError(ValueError):
    """A folder is no cassette, or one of its files is not what it should be."""


class Cassette:
    """Recorded exchanges of a folder; may be added to from any thread.

    Every exchange is on disk when `add` returns, so a recording that is cut off keeps
    what it has.

    Parameters
    ----------
    folder : Path
    decimals : int, optional
        To which floats of requests and answers are rounded.
    models : mapping of str to (ModelConfig, str)
        Configuration and version of each model.
    """

    def __init__(
        self,
        folder: Path,
        models: Mapping[str, tuple[model_config_pb2.ModelConfig, str]],
        *,
        decimals: int | None = None,
    ) -> None:
        self.folder = folder
        self.models = dict(models)
        self.decimals = decimals
        self._lock = threading.Lock()
        self._exchanges: dict[tuple[str, str], Exchange] = {}
        self.size_bytes = 0

    @classmethod
    def create(
        cls,
        folder: Path,
        models: Mapping[str, tuple[model_config_pb2.ModelConfig, str]],
        *,
        decimals: int | None = None,
    ) -> Cassette:
        """An empty one in a folder, which is made.

        Raises
        ------
        CassetteError
            If something is in the folder already.
        """
        if folder.exists() and any(folder.iterdir()):
            raise CassetteError(f"{folder}: there is something in it already")
        (folder / "answers").mkdir(parents=True, exist_ok=True)
        content = {
            "format": FORMAT,
            "decimals": decimals,
            "models": {
                name: {"version": version, "config": as_text(config)}
                for name, (config, version) in models.items()
            },
        }
        (folder / "cassette.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "exchanges.jsonl").touch()
        return cls(folder, models, decimals=decimals)

    @classmethod
    def load(cls, folder: Path) -> Cassette:
        """Read a folder.

        Raises
        ------
        CassetteError
            If it is none of ours; the message names the file.
        """
        path = folder / "cassette.json"
        try:
            cassette = cls._of_content(folder, json.loads(path.read_text()))
            path = folder / "exchanges.jsonl"
            for line in path.read_text().splitlines():
                exchange = cassette._read(json.loads(line))
                cassette._exchanges[exchange.model_name, exchange.key] = exchange
        except OSError as error:
            raise CassetteError(f"{path}: cannot read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CassetteError(f"{path}: not a cassette: {error}") from error
        return cassette

    # Any: JSON, of whatever form.
    @classmethod
    def _of_content(cls, folder: Path, content: dict[str, Any]) -> Cassette:
        if content["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {content['format']!r}")
        models = {
            name: (parse_text(each["config"]), each["version"])
            for name, each in content["models"].items()
        }
        return cls(folder, models, decimals=content["decimals"])

    def exchanges(self, model_name: str) -> list[Exchange]:
        """All of one model, in the order of recording."""
        with self._lock:
            return [e for e in self._exchanges.values() if e.model_name == model_name]

    def find(self, model_name: str, key: str) -> Exchange | None:
        """The exchange of a request, if it was recorded."""
        return self._exchanges.get((model_name, key))

    def __len__(self) -> int:
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Write an exchange; one that is known already is left as it is."""
        with self._lock:
            if (exchange.model_name, exchange.key) in self._exchanges:
                return
            self._exchanges[exchange.model_name, exchange.key] = exchange
            answers = self.folder / "answers" / f"{exchange.key}.npz"
            arrays = {
                f"r{r}.o{o}": np.frombuffer(tensor.data, np.uint8)
                for r, response in enumerate(exchange.responses)
                for o, tensor in enumerate(response.outputs)
            }
            np.savez_compressed(answers, **arrays)  # type: ignore[arg-type]
            line = json.dumps(_described(exchange))
            with (self.folder / "exchanges.jsonl").open("a") as index:
                index.write(line + "\n")
            self.size_bytes += answers.stat().st_size + len(line) + 1

    # Any: JSON, of whatever form.
    def _read(self, described: dict[str, Any]) -> Exchange:
        key = described["key"]
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of an exchange")
        path = self.folder / "answers" / f"{key}.npz"
        try:
            with np.load(path, allow_pickle=False) as arrays:
                responses = tuple(
                    _response(arrays, number, each)
                    for number, each in enumerate(described["responses"])
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"cannot read {path}: {error}") from error
        return Exchange(described["model"], key, described["shapes"], responses)


def _described(exchange: Exchange) -> dict[str, object]:
    return {
        "model": exchange.model_name,
        "key": exchange.key,
        "shapes": exchange.shapes,
        "responses": [
            {
                "code": response.code,
                "text": response.text,
                "outputs": [tensor[:3] for tensor in response.outputs],
            }
            for response in exchange.responses
        ],
    }


def _response(
    arrays: Mapping[str, Any], number: int, described: dict[str, Any]
) -> RecordedResponse:
    outputs = tuple(
        RawTensor(name, datatype, tuple(shape), arrays[f"r{number}.o{o}"].tobytes())
        for o, (name, datatype, shape) in enumerate(described["outputs"])
    )
    return RecordedResponse(outputs, described["code"], described["text"])
