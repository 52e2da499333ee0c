"""Names near a wrong one, and texts that are safe to print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_base import SonicError, nearest_names, printable

FORMATS = ["jagged", "flat", "acts-csv", "edm4hep", "trackml", "parquet", "numpy"]


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("jaged", FORMATS, "nearest: 'jagged'"),
        ("hitX", ["charge", "hit_x", "event"], "nearest: 'hit_x'"),
        ("SP_X", ["sp_x", "other"], "nearest: 'sp_x'"),
        ("eventNumber", ["number_of_event", "run"], "nearest: 'number_of_event'"),
        ("anything", [], ""),
    ],
)
def test_names_are_near_by_letters_or_by_words(name, known, expected):
    assert nearest_names(name, known) == expected


def test_a_name_like_none_lists_what_there_is_in_its_order():
    listed = ", ".join(map(repr, FORMATS))

    assert nearest_names("ttree", FORMATS) == f"there are: {listed}"


def test_long_lists_are_cut():
    text = nearest_names("zzz", [f"branch_{i}" for i in range(2000)])

    assert text.endswith("'branch_11' and 1988 more")


def test_names_of_a_set_are_listed_in_order():
    assert nearest_names("?", {"b", "c", "a"}) == "there are: 'a', 'b', 'c'"


@given(st.text())
def test_a_printable_text_has_no_control_characters_and_nothing_else_changes(text):
    shown = printable(text)

    assert all(each.isprintable() or each in "\n\t" for each in shown)
    assert printable(shown) == shown
    visible = [each for each in text if each.isprintable() or each in "\n\t"]
    if visible == [*text]:
        assert shown == text


def test_an_error_that_quotes_a_server_is_printable():
    assert str(SonicError("\x1b[2Jgone")) == "\\x1b[2Jgone"
