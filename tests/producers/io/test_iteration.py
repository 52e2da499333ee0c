"""Reading ahead: order, bounds, errors, and ends."""

import threading

import pytest

from producers.io.iteration import prefetched


def test_items_come_in_order():
    assert list(prefetched(range(5))) == [0, 1, 2, 3, 4]
    assert list(prefetched([])) == []


def test_the_next_item_is_made_while_one_is_in_use():
    is_made = threading.Event()

    def items():
        yield 0
        is_made.set()
        yield 1

    ahead = prefetched(items())

    assert next(ahead) == 0
    assert is_made.wait(10)
    assert list(ahead) == [1]


def test_no_more_than_one_item_is_made_ahead():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    for number in prefetched(items()):
        assert len(made) <= number + 2


def test_an_error_comes_at_its_place():
    def items():
        yield 0
        raise OSError("gone")

    ahead = prefetched(items())

    assert next(ahead) == 0
    with pytest.raises(OSError, match="gone"):
        next(ahead)


def test_closing_early_closes_the_items_and_ends_the_thread():
    is_closed = []

    def items():
        try:
            yield from range(10)
        finally:
            is_closed.append(True)

    ahead = prefetched(items())
    next(ahead)
    ahead.close()

    assert is_closed == [True]
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]
