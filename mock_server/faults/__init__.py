"""Planned faults, to test a client's retries with. See ``docs/testing.md``.

`plan` holds the sentence that a test writes, or its TOML file; `kinds` what can be done
to a request; `injector` does it.
"""

from mock_server.faults.kinds import Arrival, FaultHook
from mock_server.faults.plan import FaultPlan

__all__ = ["Arrival", "FaultHook", "FaultPlan"]
