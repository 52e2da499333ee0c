"""Which server a request goes to: health, circuit breaker, admission, choice.

`health`, `breaker`, `choice` and `verdict` are pure; `pool` is what a client has.
"""

from sonic_client.servers.lease import Lease
from sonic_client.servers.pool import ServerPool

__all__ = ["Lease", "ServerPool"]
