"""The models of a server: where they come from, and which are loaded.

`sources` are what can be loaded, `directories` those in Triton's repository layout,
`versions` reads what clients call one, `lookup` finds it, `repository` keeps the state
of each.
"""

from mock_server.repository.directories import load_repository
from mock_server.repository.repository import (
    IndexRow,
    ModelControl,
    ModelLoadError,
    Repository,
)

__all__ = [
    "IndexRow",
    "ModelControl",
    "ModelLoadError",
    "Repository",
    "load_repository",
]
