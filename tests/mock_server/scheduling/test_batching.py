import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.model.batching import DynamicBatching
from mock_server.scheduling.batching import DynamicBatcher, OneByOne

MS = 1_000_000


def batcher(*requests, max_batch_size=8, **settings):
    made = DynamicBatcher(DynamicBatching(**settings), max_batch_size)
    for request in requests:
        made.add(request)
    return made


def test_without_dynamic_batching_requests_are_never_joined(pending, ids):
    scheduler = OneByOne()
    for name in ("a", "b"):
        scheduler.add(pending(name))

    assert ids(scheduler.take(0, 0).batch) == ["a"]
    assert ids(scheduler.take(0, 0).batch) == ["b"]
    assert scheduler.take(0, 0).batch == []


def test_waiting_requests_are_joined_at_once_if_there_is_no_delay(pending, ids):
    scheduler = batcher(pending("a"), pending("b"), pending("c"))

    assert ids(scheduler.take(0, 0).batch) == ["a", "b", "c"]
    assert len(scheduler) == 0


def test_batch_below_the_preferred_size_waits_for_its_delay(pending, ids):
    scheduler = batcher(
        pending("a"),
        pending("b", at_ms=40),
        preferred_batch_size=[4],
        max_queue_delay_s=0.1,
    )

    early = scheduler.take(0, 60 * MS)
    late = scheduler.take(0, 100 * MS)

    assert early.batch == ()
    assert early.wait_s == pytest.approx(0.04)
    assert ids(late.batch) == ["a", "b"]


def test_preferred_size_runs_at_once(pending, ids):
    scheduler = batcher(
        *[pending(n) for n in range(5)],
        preferred_batch_size=[2, 4],
        max_queue_delay_s=10.0,
    )

    assert ids(scheduler.take(0, 0).batch) == ["0", "1", "2", "3"]
    assert scheduler.take(0, 0).wait_s == 10.0


def test_what_lies_below_the_preferred_sizes_runs_if_the_next_is_too_large(
    pending, ids
):
    scheduler = batcher(
        *[pending(n, rows=3) for n in range(3)],
        preferred_batch_size=[4],
        max_queue_delay_s=10.0,
    )

    assert ids(scheduler.take(0, 0).batch) == ["0"]


def test_full_batch_does_not_wait(pending, ids):
    scheduler = batcher(
        pending("a", rows=5), pending("b", rows=4), max_queue_delay_s=10.0
    )

    assert ids(scheduler.take(0, 0).batch) == ["a"]


def test_requests_of_other_shapes_are_not_joined(pending, ids):
    scheduler = batcher(
        pending("a"), pending("b", width=5), pending("c"), max_queue_delay_s=10.0
    )

    assert ids(scheduler.take(0, 0).batch) == ["a"]
    assert len(scheduler) == 2


@given(
    sizes=st.lists(st.integers(1, 8), max_size=30),
    preferred=st.sets(st.integers(1, 8)),
)
def test_every_request_runs_once_in_order_and_no_batch_is_too_large(
    pending, ids, sizes, preferred
):
    scheduler = batcher(
        *[pending(n, rows=size) for n, size in enumerate(sizes)],
        preferred_batch_size=sorted(preferred),
    )

    batches = []
    while (turn := scheduler.take(0, 0)).batch:
        batches.append(turn.batch)

    assert ids(each for batch in batches for each in batch) == [
        str(n) for n in range(len(sizes))
    ]
    assert all(sum(each.batch_size for each in batch) <= 8 for batch in batches)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"preferred_batch_size": [0]}, "preferred batch sizes"),
        ({"max_queue_delay_s": -1.0}, "max_queue_delay_s"),
        ({"priority_levels": 2}, "default_priority_level must be 1 to 2, got 0"),
        ({"default_priority_level": 1}, "default_priority_level"),
    ],
    ids=["preferred", "delay", "no-default-level", "no-levels"],
)
def test_impossible_settings_are_refused(changes, text):
    with pytest.raises(ValueError, match=text):
        DynamicBatching(**changes)


def test_settings_print_as_they_were_written():
    settings = DynamicBatching(preferred_batch_size=[4], max_queue_delay_s=0.1)

    assert repr(settings) == (
        "DynamicBatching(preferred_batch_size=(4,), max_queue_delay_s=0.1)"
    )
    assert eval(repr(settings)) == settings
