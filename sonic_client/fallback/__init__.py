"""What answers when no server does: a server of this process's own, or a function."""

from sonic_client.fallback.comparison import find_drift
from sonic_client.fallback.discovery import fallback_server
from sonic_client.fallback.in_process import FallbackFunction
from sonic_client.fallback.protocol import FallbackServer
from sonic_client.fallback.standby import FallbackLike, Standby

__all__ = [
    "FallbackFunction",
    "FallbackLike",
    "FallbackServer",
    "Standby",
    "fallback_server",
    "find_drift",
]
