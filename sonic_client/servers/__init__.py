"""Which server a request goes to.

`health` and `choice` are pure: they judge a server by its calls, and choose the best.
`checks` asks a server whether it can be used, `server` holds the state of one,
`state_reports` tells of its changes, `probing` asks again servers that failed, and
`pool` holds all of them together.
"""

from sonic_client.servers.pool import ServerPool
from sonic_client.servers.server import Slot

__all__ = ["ServerPool", "Slot"]
