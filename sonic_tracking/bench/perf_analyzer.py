"""Events as perf_analyzer takes them: one JSON document."""

from __future__ import annotations

from typing import Any

from sonic_tracking.bench.events import Features

__all__ = ["input_document"]


# Any: JSON values.
def input_document(features: Features) -> dict[str, Any]:
    """What ``perf_analyzer --input-data`` reads: an entry an event, in their order.

    Notes
    -----
    Format: ``perf_analyzer/docs/input_data.md``. It takes the entries in turn, so the
    measurement interval must be long enough for all of them.
    """
    return {
        "data": [
            {"FEATURES": {"content": event.ravel().tolist(), "shape": [*event.shape]}}
            for event in features
        ]
    }
