"""TOML into dataclasses and back: kinds of fields, and the errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from sonic_base import (
    ConfigError,
    Secret,
    check_keys,
    config_from_mapping,
    config_from_toml,
    config_to_mapping,
    toml_table,
    value_from_toml,
)


@dataclass(frozen=True, kw_only=True)
class Circle:
    radius: float


@dataclass(frozen=True, kw_only=True)
class Box:
    width: float
    height: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Author:
    name: str
    age: int = 0


@dataclass(frozen=True, kw_only=True)
class Corner:
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Circle | Box
    author: Author = field(default_factory=lambda: Author(name="nobody"))
    frame: Box | None = None
    marks: tuple[int | str, ...] = ()
    range: tuple[float, float] = (0.0, 1.0)
    colour: Literal["red", "blue"] = "red"
    file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    token: Secret | str | None = None
    others: tuple[Author, ...] = ()
    corner: Corner | None = None

    def __post_init__(self) -> None:
        if self.range[0] > self.range[1]:
            raise ConfigError(f"range is empty: {self.range}")


def drawing(**values: object) -> Drawing:
    return config_from_mapping(
        Drawing, {"shape": {"radius": 1.0}} | values, where="drawing"
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"shape": {"width": 2}}, Box(width=2.0)),
        ({"frame": {"width": 2.0, "height": 3.0}}, Box(width=2.0, height=3.0)),
        ({"frame": None}, None),
        ({"author": "me"}, Author(name="me")),
        (
            {"others": ["me", {"name": "you", "age": 3}]},
            (Author(name="me"), Author(name="you", age=3)),
        ),
        ({"marks": [1, "10-20"]}, (1, "10-20")),
        ({"marks": "10-20"}, ("10-20",)),
        ({"range": [0, 2]}, (0.0, 2.0)),
        ({"file": "a.root"}, Path("a.root")),
        ({"token": "s3cret"}, Secret("s3cret")),
        ({"headers": {"a": "b"}}, {"a": "b"}),
    ],
    ids=lambda values: next(iter(values)) if isinstance(values, dict) else "",
)
def test_field_is_read_as_its_type(values, expected):
    (name,) = values

    assert getattr(drawing(**values), name) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shade": 1}, "drawing: unknown key 'shade', nearest: 'shape', 'headers'"),
        ({"shape": {}}, "drawing shape: key 'radius' is missing"),
        ({"corner": "round"}, "drawing corner: expected a table, got 'round'"),
        ({"shape": {"hight": 1.0, "width": 1.0}}, "shape: unknown key 'hight'"),
        ({"frame": 3}, "drawing frame: expected a table, got 3"),
        ({"marks": [True]}, "drawing marks: expected int, got True"),
        ({"range": [0.0]}, r"drawing range: expected 2 values, got \[0\.0\]"),
        ({"range": [2, 1]}, r"drawing: range is empty: \(2\.0, 1\.0\)"),
        ({"colour": "rot"}, "drawing colour: expected one of"),
        ({"author": {"name": "x", "age": 1.5}}, "author age: expected int, got 1.5"),
    ],
    ids=lambda values: next(iter(values)) if isinstance(values, dict) else "",
)
def test_mistake_is_named_with_its_place(values, message):
    with pytest.raises(ConfigError, match=message):
        drawing(**values)


@pytest.mark.parametrize("values", [{"token": 5015}, {"headers": {"a": 5015}}])
def test_message_does_not_quote_what_may_be_secret(values):
    with pytest.raises(ConfigError, match="expected a t") as caught:
        drawing(**values)

    assert "5015" not in str(caught.value)


def test_plain_values_build_an_equal_config():
    config = drawing(
        frame={"width": 2.0},
        marks=[1, "x"],
        file="a.root",
        others=["me"],
        headers={"a": "b"},
    )

    values = config_to_mapping(config)

    assert values["frame"] == {"width": 2.0, "height": 1.0}
    assert values["file"] == "a.root"
    assert "token" not in values  # None: TOML has no word for it
    assert config_from_mapping(Drawing, values, where="copy") == config


def test_single_value_and_keys_are_checked_alone():
    assert value_from_toml(float, 2, where="x") == 2.0
    with pytest.raises(ConfigError, match=r"x: expected float, got '2'"):
        value_from_toml(float, "2", where="x")
    check_keys({"a": 1}, ["a", "b"], where="x")
    with pytest.raises(ConfigError, match="x: unknown key 'c', there are: 'a', 'b'"):
        check_keys({"c": 1}, ["a", "b"], where="x")


def test_nested_table_of_a_file_is_found(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text("[job.author]\nname = 'me'\n[other]\nkey = 1")

    assert toml_table(path, "job") == {"author": {"name": "me"}}
    assert config_from_toml(Author, path, table="job.author") == Author(name="me")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "not a TOML file"),
        ("[other]", r"no table \[a\]"),
        ("a = 1", r"\[a\]: expected a table, got 1"),
        (None, "cannot read: No such file"),
    ],
)
def test_file_that_cannot_be_used_is_named(tmp_path, text, message):
    path = tmp_path / "job.toml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigError, match=message) as caught:
        config_from_toml(Author, path, table="a")
    assert str(path) in str(caught.value)
