"""Requests joined to messages, and answers split again.

`checks` compares requests with the model, `layouts` joins and splits tensors, and
`planning` decides which requests go together. All of it is pure.
"""

from sonic_client.batching.checks import (
    CheckedRequest,
    cast_inputs,
    find_output_mismatches,
)
from sonic_client.batching.layouts import (
    BatchingLayout,
    ConcatLayout,
    PaddedLayout,
    PerEventLayout,
    RectangularLayout,
    layout_of,
)
from sonic_client.batching.planning import (
    BatchPlanner,
    Load,
    MessageLimits,
    plan_messages,
)

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
    "cast_inputs",
    "find_output_mismatches",
    "layout_of",
    "plan_messages",
]
