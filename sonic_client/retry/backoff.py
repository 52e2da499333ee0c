"""How long to wait before trying again."""

from __future__ import annotations

__all__ = ["wait_bound_s"]


def wait_bound_s(first_wait_s: float, max_wait_s: float, n_failures: int) -> float:
    """Return the upper bound of the wait after so many failures, in seconds.

    The actual wait is uniform between zero and it ("full jitter": M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    """
    # The exponent is bounded because 2.0**1024 overflows.
    growth = 2.0 ** min(n_failures - 1, 1000)
    return min(max_wait_s, first_wait_s * growth)
