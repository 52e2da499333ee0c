"""Which requests travel in one message, and how its answer is taken apart again.

A file a layout; `limits` and `planner` say how many requests go together. All of
it is pure: nothing here sends or waits.
"""

from sonic_client.batching.base import BatchingLayout, CheckedRequest
from sonic_client.batching.choice import layout_of
from sonic_client.batching.concat import ConcatLayout
from sonic_client.batching.limits import Load, MessageLimits
from sonic_client.batching.padded import PaddedLayout
from sonic_client.batching.per_event import PerEventLayout
from sonic_client.batching.planner import BatchPlanner, plan_messages
from sonic_client.batching.rectangular import RectangularLayout

__all__ = [
    "BatchPlanner",
    "BatchingLayout",
    "CheckedRequest",
    "ConcatLayout",
    "Load",
    "MessageLimits",
    "PaddedLayout",
    "PerEventLayout",
    "RectangularLayout",
    "layout_of",
    "plan_messages",
]
