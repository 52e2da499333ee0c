"""Sinks for what happens in a client; each loads its library when it is imported.

`prometheus` needs the extra ``metrics``, `opentelemetry` the extra ``tracing``.
"""

from sonic_client.observers.progress import Progress, ProgressMeter

__all__ = ["Progress", "ProgressMeter"]
