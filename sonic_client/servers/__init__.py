"""Which server a request goes to.

`health` and `choice` are pure: what the calls say about a server, and which one is
best. `checks` are the questions to a server before it gets requests, `server` is what
the client knows of one, `probing` asks again those that failed, and `pool` is the
whole, as the client uses it.
"""

from sonic_client.servers.pool import ServerPool
from sonic_client.servers.server import Slot

__all__ = ["ServerPool", "Slot"]
