"""Expected orders were read off error messages of tritonserver 2.51."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.input_order import hashed_order


@pytest.mark.parametrize(
    ("sent", "order"),
    [
        ("AB", "BA"),
        ("BA", "AB"),
        ("AC", "CA"),
        ("ABCD", "BDCA"),
        ("DCBA", "BACD"),
        ("XZWV", "VWZX"),
        (["X", "START"], ["START", "X"]),
    ],
    ids=str,
)
def test_order_is_that_of_tritons_messages(sent, order):
    assert hashed_order(sent) == list(order)


@given(st.lists(st.text(max_size=20), unique=True, max_size=40))
def test_every_name_is_there_once(names):
    assert sorted(hashed_order(names)) == sorted(names)


def test_far_too_many_names_stay_as_they_are():
    names = [str(number) for number in range(100_000)]

    assert hashed_order(names) == names
