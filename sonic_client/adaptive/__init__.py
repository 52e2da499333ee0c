"""What follows the servers: how much is in flight, and how long a try may take."""

from sonic_client.adaptive.timeout import AdaptiveTimeout
from sonic_client.adaptive.window import AdaptiveWindow

__all__ = ["AdaptiveTimeout", "AdaptiveWindow"]
