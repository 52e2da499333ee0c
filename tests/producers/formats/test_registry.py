"""The registry lists every format folder, and each format once."""

from pathlib import Path

import pytest

import producers.formats
from producers.formats.registry import (
    EVENT_FORMATS,
    FORMATS,
    TRACK_FORMATS,
    TRUTH_FORMATS,
    choose_track_format,
)

FOLDER = Path(producers.formats.__file__).parent


def test_every_folder_of_formats_is_in_the_registry():
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}

    assert [each.name for each in FORMATS] == sorted(folders)


def test_every_file_of_a_folder_is_in_the_registry():
    expected = {
        "events": len(EVENT_FORMATS),
        "truth": len(TRUTH_FORMATS),
        "tracks": sum(bool(each.tracks) for each in FORMATS),
    }

    for kind, n_formats in expected.items():
        assert len(list(FOLDER.glob(f"*/{kind}.py"))) == n_formats


@pytest.mark.parametrize("formats", [EVENT_FORMATS, TRUTH_FORMATS, TRACK_FORMATS])
def test_every_format_has_its_name(formats):
    for name, each in formats.items():
        assert each.name == name


def test_the_longest_suffix_selects_the_format():
    names = {
        "a.root": "ttree",
        "a.edm4hep.root": "edm4hep",
        "a.parquet": "parquet",
        "a.csv.gz": "trackml",
    }

    found = {path: choose_track_format(Path(path)).name for path in names}

    assert found == names
