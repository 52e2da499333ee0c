"""Whether a server and the fallback compute the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sonic_client.config import FallbackConfig
from sonic_client.types import Tensors

__all__ = ["find_drift"]


def find_drift(server: Tensors, fallback: Tensors, config: FallbackConfig) -> list[str]:
    """Return a text per output that differs; empty if none does.

    Parameters
    ----------
    server, fallback : mapping of str to ndarray
        Outputs for the same inputs.
    config : FallbackConfig
        Floating point outputs may differ by ``atol + rtol * |server|``, and NaN
        equals NaN; all others must be equal. Its `same_outputs` decides instead.
    """
    if config.same_outputs is not None:
        return [] if config.same_outputs(server, fallback) else ["not the same outputs"]
    texts: Sequence[str | None] = [
        f"output {name!r}: missing in the fallback"
        if name not in fallback
        else _difference(name, array, fallback[name], config)
        for name, array in server.items()
    ]
    return [text for text in texts if text is not None]


def _difference(
    name: str,
    server: NDArray[np.generic],
    fallback: NDArray[np.generic],
    config: FallbackConfig,
) -> str | None:
    if server.shape != fallback.shape:
        shapes = f"{list(server.shape)} and {list(fallback.shape)}"
        return f"output {name!r}: shapes {shapes}"
    if not np.issubdtype(server.dtype, np.floating):
        n_differing = np.count_nonzero(server != fallback)
        if not n_differing:
            return None
        return f"output {name!r}: {n_differing} of {server.size} elements differ"
    expected, got = server.astype(np.float64), fallback.astype(np.float64)
    is_close = np.isclose(
        got, expected, rtol=config.rtol, atol=config.atol, equal_nan=True
    )
    if is_close.all():
        return None
    largest = np.abs(got - expected)[~is_close].max()
    return (
        f"output {name!r}: {np.count_nonzero(~is_close)} of {server.size} elements "
        f"differ, by {largest:.3g} at most"
    )
