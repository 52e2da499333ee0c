"""Tracks from arrays of positions: no file, no server, no scaling by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from producers import (
    CandidateChunk,
    Event,
    FeatureScale,
    TrackFindingProducer,
    in_mm,
    node_features,
)
from producers.adapters.process_client import process_client
from producers.io import candidate_arrays
from sonic_base import ConfigError
from sonic_client import Answer, Client, Failure, Request
from sonic_tracking.errors import needs_extra
from sonic_tracking.jobs.connection import ClientSettings

__all__ = ["find_tracks"]

# Any: awkward has no type information, and a user may give any array.
Positions: TypeAlias = Any
AnyArray: TypeAlias = NDArray[Any]

Labels: TypeAlias = Callable[
    [Sequence[NDArray[np.float32]]], Sequence[NDArray[np.int64]]
]
"""Positions of several events to the label of each space point."""


def find_tracks(
    xyz: Positions,
    *,
    weights: str | Path | None = None,
    server: str | Sequence[str] | None = None,
    model: str | None = None,
    min_space_points: int = 3,
    any_input: bool = False,
    unit: str = "mm",
) -> Any:
    """Find the tracks among space points that are in memory.

    The weights that were loaded, their compiled code and the connections to servers
    are kept for the next call. Several threads may call it.

    Parameters
    ----------
    xyz : ndarray, shape (n_space_points, 3), or awkward array
        Global Cartesian positions, beam along z. An awkward array of events has
        the type ``n_events * var * 3 * float``, or ``n_events * var`` records with the
        fields x, y and z.
    weights : path or name, optional
        A folder, or the name of bundled weights; by default ``generic``.
    server : str, or sequence of str, optional
        ``grpc://host:port`` of a server that finds the tracks with its own weights.
    model : str, optional
        Name of the served model; by default ``exatrkx``.
    min_space_points : int
        A smaller component is no candidate.
    any_input : bool
        Whether to find tracks in events, too, that are far from all that the weights
        were trained on. A server may refuse them nevertheless.
    unit : {"mm", "cm", "m", "um"}
        Of the positions.

    Returns
    -------
    TrackCandidates, or ak.Array
        For one event, its candidates: ``tracks.labels`` has the candidate of each
        space point, -1 for none, and ``tracks[i]`` the indices of the space points of
        candidate i, outward. Zero space points give no candidates.
        For an awkward array of events, one record per event: ``sp_label``, and
        ``candidates``, lists of indices.

    Raises
    ------
    ValueError
        If the positions have another shape, or a value is not finite, or the event is
        far from all that the weights were trained on (an InputRangeError, which names
        the likely cause), or too dense for them.
    ConfigError
        If `weights` or `model` do not go with `server`, the features of the weights
        are not r, phi, z, or the unit is unknown.
    WeightsError, MissingExtraError
        If the weights cannot be used, or torch (extra ``pipeline``) is not installed.
    SonicError
        If the server cannot be reached, or fails an event.

    Examples
    --------
    >>> import numpy as np
    >>> from sonic_tracking import find_tracks
    >>> r = np.array([32.0, 72.0, 116.0, 172.0])
    >>> xyz = np.stack((r, 0.1 * r, 0.5 * r), axis=1)  # one straight track
    >>> tracks = find_tracks(xyz)
    >>> tracks.labels.shape
    (4,)
    """
    if server is not None and weights is not None:
        raise ConfigError(
            "weights are for the pipeline in this process: a server has its own"
        )
    if server is None and model is not None:
        raise ConfigError(f"model {model!r} needs a server that serves it")
    _refuse_other_objects(xyz)
    is_nested = isinstance(xyz, ak.Array)
    read = _events(xyz) if is_nested else [_one_event(xyz)]
    events = [in_mm(each, unit) for each in read]
    if server is None:
        labels = _pipeline_labels(weights, _time_written(weights), any_input)
    else:
        urls = (server,) if isinstance(server, str) else tuple(server)
        labels = _server_labels(urls, model, any_input=any_input)
    splits = np.concatenate(([0], np.cumsum([len(each) for each in events])))
    nothing: NDArray[np.float32] = np.empty((0, 3), np.float32)
    found = CandidateChunk.from_components(
        np.concatenate([np.empty(0, np.int64), *labels(events)]),
        np.concatenate([nothing, *events]),
        splits.astype(np.int64),
        min_space_points=min_space_points,
    )
    if is_nested:
        return ak.zip(candidate_arrays(found), depth_limit=1)
    return found[0]


def _refuse_other_objects(xyz: Positions) -> None:
    """Say what to pass in place of an object that holds positions in another way."""
    if isinstance(xyz, Event):
        raise ValueError(  # noqa: TRY004 - as for every other wrong array
            "expected positions, got an Event: pass event.xyz"
        )
    if isinstance(xyz, Mapping) or (
        isinstance(xyz, list | tuple) and any(np.ndim(each) > 1 for each in xyz)
    ):
        raise ValueError(
            f"expected an array, got a {type(xyz).__name__} of arrays: pass ak.zip("
            '{"x": x, "y": y, "z": z}) of the columns of several events, or '
            "np.stack((x, y, z), axis=1) of one event"
        )


def _one_event(xyz: Positions) -> NDArray[np.float32]:
    if np.ma.isMaskedArray(xyz) and np.ma.getmaskarray(xyz).any():
        row = int(
            np.flatnonzero(np.ma.getmaskarray(xyz).reshape(len(xyz), -1).any(1))[0]
        )
        raise ValueError(f"space point {row}: a coordinate is masked")
    try:
        positions: NDArray[np.float32] = np.asarray(xyz, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected numbers of shape (n_space_points, 3): {error}; for files there "
            "is track()"
        ) from error
    if positions.shape == (0,):
        positions = positions.reshape(0, 3)
    if positions.ndim != 2 or positions.shape[1] != 3:
        is_transposed = positions.ndim == 2 and positions.shape[0] == 3
        remedy = (
            "give its transpose, xyz.T"
            if is_transposed
            else "give several events as an awkward array"
        )
        raise ValueError(
            "expected positions of shape (n_space_points, 3), got shape "
            f"{positions.shape}; {remedy}"
        )
    wrong = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if wrong.size:
        raise ValueError(
            f"space point {wrong[0]}: expected finite positions, "
            f"got {positions[wrong[0]].tolist()}"
        )
    return positions


def _events(array: Any) -> list[NDArray[np.float32]]:
    """Return the positions of each event of an awkward array."""
    expected = (
        "expected n_events * var * 3 * float, or n_events * var records with x, y, z"
    )
    if array.ndim < 2:
        raise ValueError(f"{expected}, got {array.type}")
    missing = np.flatnonzero(ak.to_numpy(ak.is_none(array)))
    if missing.size:
        raise ValueError(f"event {missing[0]}: is None, expected its space points")
    counts = ak.to_numpy(ak.num(array, axis=1))
    ends = np.cumsum(counts)
    flat = ak.flatten(array, axis=1)
    positions: AnyArray
    try:
        if ak.fields(flat):
            positions = np.ma.stack([ak.to_numpy(flat[axis]) for axis in "xyz"], axis=1)
        else:
            positions = ak.to_numpy(flat)
    except (ValueError, ak.errors.FieldNotFoundError) as error:
        raise ValueError(f"{expected}, got {array.type}") from error
    if not len(positions):
        positions = np.empty((0, 3), np.float32)
    mask = np.ma.getmaskarray(positions)
    bad = mask | ~np.isfinite(np.ma.filled(positions, 0.0).astype(np.float32))
    rows = np.argwhere(bad)[:, 0]
    if rows.size:
        number = int(np.searchsorted(ends, rows[0], side="right"))
        row = rows[0] - (ends[number - 1] if number else 0)
        raise ValueError(
            f"event {number}, space point {row}: expected finite positions, "
            f"got {positions[rows[0]].tolist()}"
        )
    return np.split(_one_event(positions), ends[:-1])[: len(counts)]


def _time_written(weights: str | Path | None) -> int:
    """Return when a folder of weights changed last, so that new ones are loaded."""
    folder = Path(weights or "")
    if weights is None or not folder.is_dir():
        return 0  # bundled ones, or an error when they are loaded
    return max((file.stat().st_mtime_ns for file in folder.iterdir()), default=0)


@lru_cache(maxsize=4)
def _pipeline_labels(
    weights: str | Path | None, _time_written: int, any_input: bool
) -> Labels:
    with needs_extra("pipeline"):
        from exatrkx_pipeline import bundled_weights, load_weights  # noqa: PLC0415

        pipeline = load_weights(bundled_weights() if weights is None else Path(weights))
    if any_input:
        pipeline = pipeline.with_checks(lambda _: None)
    features = pipeline.config.features
    if tuple(features.names) != ("r", "phi", "z"):
        raise ConfigError(
            f"weights {weights}: expected the features r, phi, z, got "
            f"{', '.join(features.names)}"
        )
    scale = FeatureScale(*features.scales)

    def labels(
        events: Sequence[NDArray[np.float32]],
    ) -> Sequence[NDArray[np.int64]]:
        return pipeline.labels_of([node_features(xyz, scale) for xyz in events])

    return labels


def _server_labels(
    urls: tuple[str, ...], model: str | None, *, any_input: bool
) -> Labels:
    client = process_client(ClientSettings(servers=urls, model=model).config())
    producer = TrackFindingProducer(client.metadata, any_input=any_input)

    def labels(
        events: Sequence[NDArray[np.float32]],
    ) -> Sequence[NDArray[np.int64]]:
        return _asked(client, producer, events)

    return labels


def _asked(
    client: Client,
    producer: TrackFindingProducer,
    positions: Sequence[NDArray[np.float32]],
) -> Sequence[NDArray[np.int64]]:
    events = [
        Event(event_id=number, xyz=xyz, source="memory", entry=number)
        for number, xyz in enumerate(positions)
    ]
    requests = (Request(event.entry, producer.acquire(event)) for event in events)
    labels = []
    for event, outcome in zip(events, client.map(requests), strict=True):
        if isinstance(outcome, Failure):
            raise outcome.error
        assert isinstance(outcome, Answer)
        labels.append(producer.accept(event, outcome.outputs))
    return labels
