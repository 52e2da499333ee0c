"""Whether, where and when a failed try is repeated; nothing here sends or waits.

`disposition` says what an error asks for, `chain` what one request does next,
`backoff` how long it waits, `budget` how much all requests together may repeat.
"""

from sonic_client.retry.backoff import wait_bound_s
from sonic_client.retry.budget import RetryBudget
from sonic_client.retry.chain import RetryChain, RetryStep, Situation
from sonic_client.retry.disposition import Disposition, disposition_of
from sonic_client.retry.timing import Timing

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
