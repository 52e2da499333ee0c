"""Answers of a real server, recorded and replayed. See ``docs/testing.md``.

`folder` keeps exchanges on disk, `upstream` asks the real server, `models` are the
models of a `MockServer` that record or replay.
"""

from mock_server.cassette.folder import Cassette
from mock_server.cassette.models import recorded_models, replayed_models
from mock_server.cassette.upstream import Upstream
from mock_server.errors import CassetteError, ConfigurationError

__all__ = [
    "Cassette",
    "CassetteError",
    "ConfigurationError",
    "Upstream",
    "recorded_models",
    "replayed_models",
]
