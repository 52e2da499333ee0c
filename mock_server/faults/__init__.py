"""Planned misbehaviour: what a client's retries are tested against.

`plan` is the sentence a test writes, `selection` which requests it speaks of, `kinds`
and `answers` what is done to them, `injector` does it, `toml` reads it from a file.
"""

from mock_server.faults.plan import FaultHook, FaultPlan
from mock_server.faults.selection import Arrival

__all__ = ["Arrival", "FaultHook", "FaultPlan"]
