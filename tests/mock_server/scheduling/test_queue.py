import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server import ModelError
from mock_server.model.batching import QueuePolicy, TimeoutAction
from mock_server.scheduling.queue import RequestQueue
from mock_server.wire.inference import FailureReason

MS = 1_000_000


def filled(*requests, **options):
    queue = RequestQueue(**options)
    for request in requests:
        queue.add(request)
    return queue


def test_requests_are_served_in_the_order_of_their_arrival(pending, ids):
    queue = filled(pending("a"), pending("b"), pending("c"))

    assert ids(queue) == ["a", "b", "c"]


@given(priorities=st.lists(st.integers(0, 5), max_size=20))
def test_lower_levels_go_first_and_within_one_the_earlier(pending, ids, priorities):
    requests = [pending(n, priority=p) for n, p in enumerate(priorities)]

    queue = filled(*requests, levels=3, default_level=2)

    level = {n: p if 1 <= p <= 3 else 2 for n, p in enumerate(priorities)}
    assert ids(queue) == [str(n) for n in sorted(level, key=lambda n: (level[n], n))]


def test_full_queue_refuses_and_names_the_request(pending):
    queue = filled(pending("a"), policy=QueuePolicy(max_queue_size=1))

    with pytest.raises(ModelError) as error:
        queue.add(pending("b"))

    assert error.value.code is grpc.StatusCode.UNAVAILABLE
    assert error.value.message == "[request id: b] Exceeds maximum queue size"
    assert len(queue) == 1


def test_levels_have_limits_of_their_own(pending, ids):
    queue = filled(
        pending("a", priority=1),
        pending("b", priority=2),
        pending("c", priority=2),
        levels=2,
        default_level=2,
        policies={1: QueuePolicy(max_queue_size=1)},
    )

    with pytest.raises(ModelError):
        queue.add(pending("d", priority=1))
    assert ids(queue) == ["a", "b", "c"]


def test_request_that_waited_too_long_is_rejected(pending, ids):
    policy = QueuePolicy(default_timeout_s=0.1)
    queue = filled(pending("a"), pending("b", at_ms=50), policy=policy)

    assert queue.drop(100 * MS) == []
    (dropped,) = queue.drop(101 * MS)

    assert dropped.pending.request.id == "a"
    assert dropped.error.code is grpc.StatusCode.UNAVAILABLE
    assert dropped.error.message == "Request timeout expired"
    assert dropped.reason is FailureReason.REJECTED
    assert ids(queue) == ["b"]


@pytest.mark.parametrize(
    ("default_ms", "own_ms", "may_override", "limit_ms"),
    [
        (100, 50, True, 50),
        (100, 50, False, 100),
        (100, 200, True, 100),
        (100, 0, True, 100),
        (0, 50, True, None),
    ],
    ids=["shorter", "not-allowed", "longer", "none", "no-default"],
)
def test_own_timeout_only_ever_shortens_the_default(
    pending, default_ms, own_ms, may_override, limit_ms
):
    policy = QueuePolicy(
        default_timeout_s=default_ms / 1000, allow_timeout_override=may_override
    )
    request = pending(timeout_us=own_ms * 1000)

    filled(request, policy=policy)

    expected = None if limit_ms is None else limit_ms * MS
    assert request.deadline_ns == expected


def test_delayed_request_goes_behind_those_in_time(pending, ids):
    policy = QueuePolicy(default_timeout_s=0.1, timeout_action=TimeoutAction.DELAY)
    queue = filled(pending("a"), pending("b", at_ms=90), policy=policy)

    dropped = queue.drop(150 * MS)

    assert dropped == []
    assert ids(queue) == ["b", "a"]


def test_cancelled_request_is_given_up(pending, ids):
    request = pending("a")
    queue = filled(request, pending("b"))

    request.request.cancellation.cancel()
    (dropped,) = queue.drop(0)

    assert dropped.error.code is grpc.StatusCode.CANCELLED
    assert dropped.reason is FailureReason.CANCELED
    assert ids(queue) == ["b"]


@pytest.mark.parametrize("field", ["default_timeout_s", "max_queue_size"])
def test_negative_limits_are_refused(field):
    with pytest.raises(ValueError, match="queue policy: need"):
        QueuePolicy(**{field: -1})
