"""From a batch of requests to their outcomes: one message, its attempts and its answer.

`dispatch` gives every request of a batch its outcome, `attempts` tries a message at
servers and the fallback, `answers` checks what comes back, `cache` keeps answers, and
`adaptive_timeout` says how long a try may take.
"""

from sonic_client.message.adaptive_timeout import AdaptiveTimeout
from sonic_client.message.answers import AnswerChecker
from sonic_client.message.attempts import Backends
from sonic_client.message.cache import AnswerCache
from sonic_client.message.dispatch import Dispatcher

__all__ = [
    "AdaptiveTimeout",
    "AnswerCache",
    "AnswerChecker",
    "Backends",
    "Dispatcher",
]
