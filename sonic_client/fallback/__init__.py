"""The fallback: a local server or function that answers when no server does.

`protocol` defines a fallback server and finds one by name, `function` calls a
function as if it were a server, `standby` starts either when it is first needed, and
`comparison` checks that a server and the fallback compute the same.
"""

from sonic_client.fallback.comparison import find_drift
from sonic_client.fallback.function import FallbackFunction
from sonic_client.fallback.protocol import FallbackServer, fallback_server
from sonic_client.fallback.standby import FallbackLike, Standby

__all__ = [
    "FallbackFunction",
    "FallbackLike",
    "FallbackServer",
    "Standby",
    "fallback_server",
    "find_drift",
]
