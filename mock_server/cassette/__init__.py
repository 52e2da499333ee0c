"""Answers of a real server, recorded once and replayed offline.

`exchange` is a request and its answers, `folder` keeps them on disk, `upstream` asks
the real server, `recording` and `replaying` are models of a `MockServer` in between.
"""

from mock_server.cassette.folder import Cassette, CassetteError

__all__ = ["Cassette", "CassetteError"]
