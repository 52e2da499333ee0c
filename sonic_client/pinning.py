"""Whether a server has the very model that a job was made for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from sonic_base.errors import ConfigError
from sonic_client.config import PinConfig
from sonic_client.errors import Mismatch, ModelMismatchError
from sonic_client.types import ModelMetadata, TensorSpec

__all__ = ["check_pin", "metadata_hash"]

_NOTHING = "nothing"


def metadata_hash(metadata: ModelMetadata) -> str:
    """Return a hash of all that a server says about a model, but for its version.

    SHA-256 in hexadecimal; the same on every server and machine.
    """
    values = asdict(metadata)
    del values["version"]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def check_pin(metadata: ModelMetadata, pin: PinConfig, *, server: str) -> None:
    """Refuse a model that is not the pinned one.

    Raises
    ------
    ModelMismatchError
        With all differences at once.
    ConfigError
        If the configuration file cannot be read.
    """
    mismatches = []
    references = []
    if pin.version and pin.version != metadata.version:
        mismatches.append(Mismatch("version", pin.version, metadata.version))
        references.append("the pinned version")
    if pin.metadata_hash and pin.metadata_hash != (got := metadata_hash(metadata)):
        mismatches.append(Mismatch("metadata hash", pin.metadata_hash, got))
        references.append("the pinned hash")
    if pin.config_pbtxt is not None:
        differences = _differences(_read_config(pin.config_pbtxt), metadata)
        mismatches += differences
        references += [str(pin.config_pbtxt)] if differences else []
    if mismatches:
        raise ModelMismatchError(
            model=metadata.name,
            server=server,
            reference=" and ".join(references),
            mismatches=mismatches,
        )


def _read_config(path: Path) -> ModelMetadata:
    """Return what Triton would say of the model that such a file configures."""
    # Imported here: few jobs pin a model so, and protobuf takes its time.
    from google.protobuf import text_format  # noqa: PLC0415
    from tritonclient.grpc import model_config_pb2  # noqa: PLC0415

    try:
        config = text_format.Parse(
            path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig()
        )
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a model configuration: {error}") from error
    batch = (-1,) if config.max_batch_size else ()

    # Any: the generated message classes have no types.
    def specs(tensors: Iterable[Any]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                tensor.name,
                _datatype(model_config_pb2.DataType.Name(tensor.data_type)),
                (*batch, *tensor.dims),
                bool(getattr(tensor, "optional", False)),  # of inputs only
            )
            for tensor in tensors
        )

    return ModelMetadata(
        name=config.name or path.parent.name,
        version="",
        platform=config.platform or config.backend,
        inputs=specs(config.input),
        outputs=specs(config.output),
        max_batch_size=config.max_batch_size,
        parameters={
            name: value.string_value for name, value in config.parameters.items()
        },
    )


def _datatype(name: str) -> str:
    """Return KServe's name for one of the configuration's: ``BYTES`` for a string."""
    name = name.removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def _differences(expected: ModelMetadata, got: ModelMetadata) -> list[Mismatch]:
    pairs = {
        "name": (expected.name, got.name),
        "max_batch_size": (str(expected.max_batch_size), str(got.max_batch_size)),
        **_pairs("input", _forms(expected.inputs), _forms(got.inputs)),
        **_pairs("output", _forms(expected.outputs), _forms(got.outputs)),
        # A server may add parameters of its own.
        **_pairs(
            "parameter",
            expected.parameters,
            {n: v for n, v in got.parameters.items() if n in expected.parameters},
        ),
    }
    return [
        Mismatch(what, want, have)
        for what, (want, have) in pairs.items()
        if want != have
    ]


def _pairs(
    kind: str, expected: Mapping[str, str], got: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    return {
        f"{kind} {name}": (expected.get(name, _NOTHING), got.get(name, _NOTHING))
        for name in dict.fromkeys((*expected, *got))
    }


def _forms(specs: Iterable[TensorSpec]) -> dict[str, str]:
    return {spec.name: spec.form for spec in specs}
