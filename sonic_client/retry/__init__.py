"""Whether, where and when a failed try is repeated; nothing here sends or waits.

`chain` plans the next step of a request after an error; `pacing` says how long it
waits, and how many retries all requests together may make.
"""

from sonic_client.retry.chain import (
    Disposition,
    RetryChain,
    RetryStep,
    Situation,
    disposition_of,
)
from sonic_client.retry.pacing import RetryBudget, Timing, wait_bound_s

__all__ = [
    "Disposition",
    "RetryBudget",
    "RetryChain",
    "RetryStep",
    "Situation",
    "Timing",
    "disposition_of",
    "wait_bound_s",
]
