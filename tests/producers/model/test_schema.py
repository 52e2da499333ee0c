import pytest

from producers import ColumnMapping
from sonic_client import ConfigError

NAMES = {"tree": "hits", "x": "SPx", "y": "SPy", "z": "SPz"}


def test_a_mapping_is_read_from_a_table_of_a_toml_file(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(
        '[columns]\ntree = "hits"\nx = "SPx"\ny = "SPy"\nz = "SPz"\nlayer = "SPl"\n'
    )

    columns = ColumnMapping.from_toml(path)

    assert columns == ColumnMapping(**NAMES, layer="SPl")
    assert columns.columns == ("SPx", "SPy", "SPz", "SPl")
    assert columns.detector == {"layer": "SPl"}


def test_an_unknown_key_comes_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown key 'modul', .*'module'"):
        ColumnMapping.from_dict(NAMES | {"modul": "SPm"})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"y": "SPx"}, "must be three columns"),
        ({"tree": ""}, "must not be empty"),
        ({"event": ""}, "must not be empty"),
    ],
)
def test_names_that_cannot_be_right_are_refused(changed, expected):
    with pytest.raises(ConfigError, match=expected):
        ColumnMapping(**(NAMES | changed))
