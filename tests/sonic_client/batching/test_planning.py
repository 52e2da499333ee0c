"""Which requests travel together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import RejectedRequestError, Request, RequestTooLargeError
from sonic_client.batching import (
    BatchPlanner,
    CheckedRequest,
    Load,
    MessageLimits,
    plan_messages,
)


class Bounds:
    """A layout, as far as planning looks at it."""

    def __init__(
        self, *, max_events=100, max_bytes=10**9, max_batch_size=0, pads=False
    ):
        self.max_events, self.max_bytes = max_events, max_bytes
        self.max_batch_size, self.pads = max_batch_size, pads

    def cut(self, item, max_batch_size):
        return [item]


def sized(n_bytes, batch_size=1, kind=None):
    return CheckedRequest(
        request=Request(n_bytes, {}), n_bytes=n_bytes, batch_size=batch_size, kind=kind
    )


def plan(items, **bounds):
    planner = BatchPlanner(MessageLimits(Bounds(**bounds)))
    batches = [batch for item in items for batch in planner.add(item)]
    return batches + planner.flush()


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 5), st.integers(1, 30))
def test_plan_keeps_order_and_bounds_and_cuts_nothing(sizes, max_events, max_bytes):
    items = [sized(n_bytes) for n_bytes in sizes]

    batches = plan(items, max_events=max_events, max_bytes=max_bytes)

    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= max_events
        assert len(batch) == 1 or sum(i.n_bytes for i in batch) <= max_bytes


def test_plan_fills_batches_as_far_as_the_bounds_allow():
    items = [sized(n_bytes) for n_bytes in (4, 4, 4, 1, 1, 1, 1, 50, 1)]

    batches = plan(items, max_events=3, max_bytes=10)

    assert [[item.n_bytes for item in batch] for batch in batches] == [
        [4, 4],
        [4, 1, 1],
        [1, 1],
        [50],
        [1],
    ]


def test_filled_up_requests_count_as_the_largest():
    items = [sized(n_bytes) for n_bytes in (1, 1, 6, 1)]

    batches = plan(items, max_bytes=12, pads=True)

    assert [[item.n_bytes for item in batch] for batch in batches] == [[1, 1], [6, 1]]


def test_elements_of_the_batch_dimension_are_bounded():
    items = [sized(1, batch_size=n) for n in (3, 3, 3, 8, 1)]

    batches = plan(items, max_batch_size=8)

    assert [[item.batch_size for item in batch] for batch in batches] == [
        [3, 3],
        [3],
        [8],
        [1],
    ]


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from("ab")), max_size=30))
def test_every_request_is_in_one_message_of_its_kind(shapes):
    batch = [sized(1, batch_size=n, kind=kind) for n, kind in shapes]

    messages = plan_messages(batch, MessageLimits(Bounds(max_batch_size=8)))

    assert sorted(place for message in messages for place in message) == list(
        range(len(batch))
    )
    for message in messages:
        assert message == sorted(message)
        assert len({batch[place].kind for place in message}) == 1
        assert sum(batch[place].batch_size for place in message) <= 8


def too_large(details):
    return RequestTooLargeError(
        server="s", status="RESOURCE_EXHAUSTED", details=details
    )


def test_a_batch_size_is_learned_once_and_only_lowered():
    limits = MessageLimits(Bounds(max_batch_size=64))
    batch = [sized(1), sized(1)] * 8

    def refusal(n):
        return RejectedRequestError(
            server="s",
            status="INVALID_ARGUMENT",
            details=f"inference request batch-size must be <= {n} for 'label'",
        )

    assert limits.learn_batch_size(refusal(5), batch)
    assert limits.max_batch_size == 5
    assert limits.learn_batch_size(
        refusal(50), batch
    )  # another server, which takes more
    assert limits.max_batch_size == 5
    assert [len(m) for m in plan_messages(batch, limits)] == [5, 5, 5, 1]


def test_bytes_are_learned_less_what_is_no_tensor():
    limits = MessageLimits(Bounds())
    batch = [sized(600), sized(600)]

    is_known = limits.learn_bytes(
        too_large("SERVER: Received message larger than max (1300 vs. 1000)"),
        batch,
        server="s",
    )

    assert is_known
    assert limits.max_bytes == 900


def test_an_answer_too_large_bounds_the_inputs_in_proportion():
    limits = MessageLimits(Bounds())

    limits.learn_bytes(
        too_large("CLIENT: Received message larger than max (4000 vs. 1000)"),
        [sized(400), sized(400)],
        server="s",
    )

    assert limits.max_bytes == 200


@pytest.mark.parametrize(
    ("details", "most"),
    [
        ("1300 bytes, the limit is 1000", 900),
        (
            "Request JSON size of 1300 bytes exceeds the maximum allowed input size of "
            "1000 bytes. Use --http-max-input-size to increase the limit.",
            900,
        ),
        ("request body is larger than the limit of 1000 bytes", 938),
        ("413 Request Entity Too Large", 600),  # half, where no number is named
        ("", 600),
    ],
)
def test_the_limits_of_proxies_and_newer_servers_are_understood(details, most):
    limits = MessageLimits(Bounds())

    limits.learn_bytes(too_large(details), [sized(600), sized(600)], server="s")

    assert limits.max_bytes == most


def test_a_limit_is_that_of_the_server_that_named_it():
    limits = MessageLimits(Bounds(), ["small", "large"])
    batch = [sized(600), sized(600)]
    refusal = too_large("SERVER: Received message larger than max (1300 vs. 1000)")

    can_go_elsewhere = limits.learn_bytes(refusal, batch, server="small")

    assert can_go_elsewhere
    assert limits.max_bytes == 10**9  # the other one takes more
    assert limits.servers_below(batch) == ["small"]
    assert limits.servers_below([sized(600)]) == []
    assert limits.learn_bytes(refusal, batch, server="large")
    assert limits.max_bytes == 900


def test_a_request_that_cannot_be_cut_is_not_sent_again():
    limits = MessageLimits(Bounds(max_batch_size=4))
    refusal = RejectedRequestError(
        server="s", status="INVALID_ARGUMENT", details="batch-size must be <= 2"
    )

    assert not limits.learn_batch_size(refusal, [sized(1, batch_size=3)])


def test_a_load_is_the_sum_of_its_requests():
    assert Load.of([sized(3, batch_size=2), sized(5)]) == Load(2, 8, 5, 3)
    assert Load.of([]) == Load()
