"""Answers that are kept, so that the same request need not be sent again."""

from __future__ import annotations

import asyncio
import io
import logging
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sonic_base import SonicError, check_inflated_size, decoding, whole_file
from sonic_client.batching import CheckedRequest
from sonic_client.config import CacheConfig
from sonic_client.types import ModelMetadata, Tensors, payload_bytes

__all__ = ["AnswerCache"]

logger = logging.getLogger(__name__)


class AnswerCache:
    """Outputs by a hash of the model, its version, and the inputs.

    The memory drops the answers that were not asked for longest; the folder, if there
    is one, keeps all. Arrays are copied, so that a kept answer does not keep its whole
    message in memory.

    Parameters
    ----------
    metadata : ModelMetadata
        Another version, or other parameters, makes another model.

    Notes
    -----
    Belongs to one event loop. Files are numpy's ``.npz``, read without pickle; tensors
    that need pickle (``BYTES``, ``BF16``) are kept in memory only.
    """

    def __init__(self, config: CacheConfig, metadata: ModelMetadata) -> None:
        self._max_bytes, self._folder = config.max_bytes, config.folder
        self._model = blake2b(repr(metadata).encode(), digest_size=32).digest()
        self._kept: OrderedDict[str, Tensors] = OrderedDict()
        self._n_bytes = 0

    def key_of(self, item: CheckedRequest) -> str:
        """Return the hash of a request's names, types, shapes and values."""
        digest = blake2b(self._model, digest_size=32)
        for name, array in sorted(item.request.inputs.items()):
            digest.update(repr((name, array.dtype.str, array.shape)).encode())
            if array.dtype == object:
                digest.update(repr(array.tolist()).encode())
            else:
                values = np.ascontiguousarray(array)
                digest.update(values.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    async def find(self, key: str) -> Tensors | None:
        """Return the outputs of an earlier request; None if they are not kept."""
        if (outputs := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return outputs
        if self._folder is None:
            return None
        outputs = await asyncio.to_thread(_read, self._path(self._folder, key))
        if outputs is not None:
            self._keep_in_memory(key, outputs)
        return outputs

    async def keep(self, key: str, outputs: Tensors) -> None:
        """Keep the outputs of a request."""
        copies = _read_only_copies(outputs)
        self._keep_in_memory(key, copies)
        if self._folder is not None and all(map(_is_plain, copies.values())):
            await asyncio.to_thread(_write, self._path(self._folder, key), copies)

    def _keep_in_memory(self, key: str, outputs: Tensors) -> None:
        n_bytes = payload_bytes(outputs)
        if n_bytes > self._max_bytes or key in self._kept:
            return
        self._kept[key] = outputs
        self._n_bytes += n_bytes
        while self._n_bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._n_bytes -= payload_bytes(oldest)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        # In 256 folders, because file systems are slow with a million files in one.
        return folder / key[:2] / f"{key}.npz"


def _read(path: Path) -> Tensors | None:
    try:
        # Opened here because numpy leaves a file open that is no archive.
        with (
            path.open("rb") as file,
            decoding(SonicError),
            np.load(file, allow_pickle=False) as content,
        ):
            check_inflated_size(content.zip)
            return _read_only_copies({name: content[name] for name in content.files})
    except FileNotFoundError:
        return None
    except (OSError, SonicError) as error:
        logger.warning("%s: ignored, not a readable answer: %s", path, error)
        return None


def _write(path: Path, outputs: Tensors) -> None:
    buffer = io.BytesIO()
    # Any: savez takes arrays by keyword, and has an option beside them.
    arrays: dict[str, Any] = dict(outputs)
    np.savez(buffer, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete, so that other jobs never see half a file.
        with whole_file(path) as unfinished:
            unfinished.write_bytes(buffer.getbuffer())
    except OSError as error:
        logger.warning("%s: cannot keep an answer: %s", path, error)


def _is_plain(array: NDArray[np.generic]) -> bool:
    return array.dtype.kind in "biuf"


def _read_only_copies(outputs: Tensors) -> Tensors:
    copies = {name: np.array(array) for name, array in outputs.items()}
    for array in copies.values():
        array.flags.writeable = False
    return copies
