"""How requests flow: what is sent when, and in which order outcomes come out.

Pure bookkeeping are `window` (the bounds of what is in flight), `adaptive_window` (a
bound that follows the servers) and `map_queue` (the requests of one `map`).
`in_flight` sends messages in tasks. `mapping` runs a `map`, `coalescing` joins
concurrent `infer` calls, `session` holds an open client together, and `loop_thread`
runs a session for blocking callers.
"""

from sonic_client.flow.loop_thread import LoopThread
from sonic_client.flow.mapping import map_in_loop, map_in_thread
from sonic_client.flow.session import Session, open_session

__all__ = ["LoopThread", "Session", "map_in_loop", "map_in_thread", "open_session"]
