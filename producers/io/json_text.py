"""JSON objects in files."""

from __future__ import annotations

import json

from producers.io.location import Location, damaged_file_named
from producers.model.errors import UnreadableFileError
from producers.model.types import JsonObject


def json_object(
    path: Location, text: str | bytes, part: str = "its text"
) -> JsonObject:
    """Return a JSON object that a file holds.

    Parameters
    ----------
    path : Path or str
    text : str or bytes
    part : str
        Where in the file it is: for the message.

    Raises
    ------
    UnreadableFileError
        If it is not a JSON object.
    """
    with damaged_file_named(path, "JSON", part):
        content = json.loads(text)
    if not isinstance(content, dict):
        raise UnreadableFileError(path, f"{part}: expected a JSON object")
    return content
