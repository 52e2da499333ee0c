"""Retries: what an error asks for, what comes next, how long, and how many."""

import itertools
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_client import (
    AccessDeniedError,
    ConfigError,
    FailsEverywhereError,
    GivenUpError,
    InvalidAnswerError,
    ModelNotFoundError,
    RejectedRequestError,
    RequestTooLargeError,
    RetryConfig,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnreachableError,
    TransientError,
    TriesExhaustedError,
    TryTimedOutError,
)
from sonic_client.retry import (
    Disposition,
    RetryBudget,
    RetryChain,
    RetryStep,
    Situation,
    disposition_of,
    wait_bound_s,
)


def error_of(kind):
    if kind is InvalidAnswerError:
        return InvalidAnswerError(model="m", server="s", mismatches=[])
    status = "INVALID_ARGUMENT" if kind is RejectedRequestError else "UNAVAILABLE"
    return kind(server="s", status=status, details="text")


def chain_of(jitter=1.0, **retry):
    return RetryChain(RetryConfig(**retry), lambda: jitter)


def targets_of(chain, errors, situation):
    """Where each error leads, until one ends it."""
    return [chain.after(error, situation).target for error in errors]


@pytest.mark.parametrize(
    ("kind", "disposition"),
    [
        (TransientError, Disposition.AGAIN),
        (ServerUnreachableError, Disposition.ELSEWHERE_FIRST),
        (TryTimedOutError, Disposition.ELSEWHERE_FIRST),
        (ServerFaultError, Disposition.ELSEWHERE_FIRST),
        (ServerOverloadedError, Disposition.WHEN_THERE_IS_ROOM),
        (AccessDeniedError, Disposition.ELSEWHERE_ONLY),
        (InvalidAnswerError, Disposition.ELSEWHERE_ONLY),
        (ModelNotFoundError, Disposition.LOOK_AGAIN),
        (RequestTooLargeError, Disposition.SPLIT),
        (RejectedRequestError, Disposition.NEVER),
    ],
)
def test_the_class_of_an_error_decides_the_remedy(kind, disposition):
    assert disposition_of(error_of(kind)) is disposition


def test_the_chain_is_same_server_then_another_then_fallback():
    chain = chain_of()
    everything = Situation(same_server=True, other_server=True, fallback=True)
    no_server = Situation(same_server=False, fallback=True)

    steps = [
        chain.after(error_of(TransientError), everything).target,
        chain.after(error_of(TransientError), everything).target,
        chain.after(error_of(TransientError), no_server).target,
    ]

    assert steps == ["same_server", "other_server", "fallback"]


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["same_server", "other_server", "fallback"]))
)
def test_the_order_of_the_chain_is_the_users(order):
    everything = Situation(same_server=True, other_server=True, fallback=True)

    step = chain_of(chain=order).after(error_of(TransientError), everything)

    assert step.target == order[0]


def test_an_action_that_is_left_out_is_not_taken():
    situation = Situation(other_server=True, fallback=True)
    chain = chain_of(chain=("same_server",), allowed_tries=3)

    targets = targets_of(chain, [error_of(TransientError)] * 2, situation)

    assert targets == ["same_server", "any_server"]


def test_a_timeout_leads_elsewhere_first():
    situation = Situation(same_server=True, other_server=True)

    step = chain_of().after(error_of(TryTimedOutError), situation)

    assert step == RetryStep("other_server", 0.0)


def test_without_another_server_the_same_one_is_tried_after_a_wait():
    step = chain_of(first_wait_s=2.0).after(error_of(TryTimedOutError), Situation())

    assert step == RetryStep("any_server", 2.0)


@pytest.mark.parametrize("kind", [RejectedRequestError, RequestTooLargeError])
def test_an_error_that_no_server_repairs_is_raised_at_once(kind):
    error = error_of(kind)
    everything = Situation(other_server=True, fallback=True, can_split=True)

    with pytest.raises(kind) as caught:
        chain_of().after(error, everything)
    assert caught.value is error


def test_a_wrong_answer_is_asked_for_again_only_where_it_may_be_right():
    error, nowhere = error_of(InvalidAnswerError), Situation(any_server=False)

    assert chain_of().after(error, Situation()).target == "any_server"
    with pytest.raises(InvalidAnswerError):
        chain_of().after(error, nowhere)
    with pytest.raises(InvalidAnswerError):
        chain_of(allowed_tries=1).after(error, Situation())


def test_a_missing_model_is_looked_for_again_once():
    chain = chain_of(first_wait_s=0.0)
    error = error_of(ModelNotFoundError)

    assert chain.after(error, Situation()).target == "any_server"
    with pytest.raises(ModelNotFoundError):
        chain.after(error, Situation(any_server=False))


@pytest.mark.parametrize("allowed_tries", [1, 2, 5])
def test_allowed_tries_means_that_many_tries(allowed_tries):
    chain = chain_of(allowed_tries=allowed_tries)
    n_tries = 1

    with pytest.raises(TriesExhaustedError) as caught:  # noqa: PT012 - the last raises
        while chain.after(error_of(TransientError), Situation()):
            n_tries += 1
    assert n_tries == len(caught.value.failures) == allowed_tries
    assert caught.value.__cause__ is caught.value.failures[-1]


def test_a_chain_that_was_used_up_leaves_the_next_request_its_own():
    config = RetryConfig(allowed_tries=2)
    first, second = (RetryChain(config, lambda: 0.0) for _ in range(2))
    first.after(error_of(TransientError), Situation())
    with pytest.raises(TriesExhaustedError):
        first.after(error_of(TransientError), Situation())

    assert second.after(error_of(TransientError), Situation()).target == "same_server"


def test_waits_double_up_to_their_bound():
    chain = chain_of(allowed_tries=9, first_wait_s=1.0, max_wait_s=5.0)

    waits = [chain.after(error_of(TransientError), Situation()).wait_s for _ in "12345"]

    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_jitter_shortens_the_whole_wait():
    chain = chain_of(jitter=0.25, first_wait_s=2.0)

    assert chain.after(error_of(TransientError), Situation()).wait_s == 0.5


@given(
    first_wait_s=st.floats(0.0, 10.0),
    extra_s=st.floats(0.0, 100.0),
    n_failures=st.integers(1, 5000),
)
def test_waits_stay_within_their_bounds(first_wait_s, extra_s, n_failures):
    max_wait_s = first_wait_s + extra_s

    bound_s = wait_bound_s(first_wait_s, max_wait_s, n_failures)

    assert first_wait_s <= bound_s <= max_wait_s
    assert bound_s <= wait_bound_s(first_wait_s, max_wait_s, n_failures + 1)


FACTS = [field.name for field in fields(Situation)]
KINDS = [
    TransientError,
    ServerUnreachableError,
    TryTimedOutError,
    ServerFaultError,
    ServerOverloadedError,
    ModelNotFoundError,
    InvalidAnswerError,
    RequestTooLargeError,
    RejectedRequestError,
]


situations = st.builds(Situation, **dict.fromkeys(FACTS, st.booleans()))


@given(
    allowed_tries=st.integers(1, 6),
    fault_tries=st.integers(1, 6),
    order=st.permutations(["same_server", "other_server", "fallback"]),
    happenings=st.lists(
        st.tuples(st.sampled_from(KINDS), situations), min_size=30, max_size=30
    ),
)
def test_a_chain_ends_and_exceeds_neither_its_tries_nor_its_waits(
    allowed_tries, fault_tries, order, happenings
):
    config = RetryConfig(
        allowed_tries=allowed_tries, fault_tries=fault_tries, chain=tuple(order)
    )
    chain, tried = RetryChain(config, lambda: 1.0), []

    for kind, situation in happenings:
        tried.append(kind)
        try:
            step = chain.after(error_of(kind), situation)
        except (GivenUpError, kind):
            break
        if kind is ServerOverloadedError:
            assert step.wait_s > 0.0 or step.target in ("other_server", "fallback")
        assert 0.0 <= step.wait_s <= config.max_wait_s
        if step.target == "other_server":
            assert situation.other_server or situation.room
        elif step.target != "any_server":
            assert getattr(situation, step.target)
        if step.target == "fallback":
            break

    counted = [kind for kind in tried if kind is not ServerOverloadedError]
    assert len(counted) <= allowed_tries
    assert counted.count(ServerFaultError) <= fault_tries


def test_refusals_of_a_full_server_are_not_counted_as_tries():
    chain = chain_of(allowed_tries=2, first_wait_s=1.0, max_wait_s=8.0)

    waits = [
        chain.after(error_of(ServerOverloadedError), Situation()).wait_s
        for _ in "12345"
    ]

    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert (chain.tries_left, chain.failures) == (2, [])


def test_a_full_server_says_how_long_to_wait():
    error = error_of(ServerOverloadedError)

    assert chain_of().after(error, Situation(room_s=30.0)).wait_s == 30.0


def test_while_one_server_is_full_another_with_room_is_asked_at_once():
    step = chain_of().after(error_of(ServerOverloadedError), Situation(room=True))

    assert step == RetryStep("other_server", 0.0)


def test_the_fallback_is_asked_when_the_patience_with_full_servers_is_over():
    error, chain = error_of(ServerOverloadedError), chain_of()

    assert chain.after(error, Situation(fallback=True)).target == "any_server"
    impatient = Situation(fallback=True, is_patient=False)
    assert chain.after(error, impatient).target == "fallback"


def test_a_request_that_breaks_servers_is_given_up_by_name():
    chain = RetryChain(RetryConfig(), lambda: 0.0, request_id="17")
    error = error_of(ServerFaultError)

    assert chain.after(error, Situation(other_server=True)).target == "other_server"
    again = chain.after(error, Situation())
    assert (again.target, again.is_for_recovery) == ("any_server", True)
    with pytest.raises(FailsEverywhereError, match=r"request 17 .* after 3 tries"):
        chain.after(error, Situation(other_server=True))


def test_a_message_too_large_for_one_server_and_not_to_be_split_goes_elsewhere():
    error = error_of(RequestTooLargeError)
    nowhere = Situation(any_server=False)

    assert chain_of().after(error, Situation(other_server=True)).target == (
        "other_server"
    )
    assert chain_of().after(error, Situation(fallback=True)).target == "fallback"
    with pytest.raises(RequestTooLargeError):
        chain_of().after(error, nowhere)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_of_retries_is_free_and_then_they_come_one_by_one():
    budget = RetryBudget(RetryConfig(budget_burst=3, budget_retries_per_s=2.0), Clock())

    assert [budget.take() for _ in range(6)] == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5]


def test_requests_and_time_refill_the_budget():
    clock = Clock()
    config = RetryConfig(budget_burst=1, budget_ratio=0.5, budget_retries_per_s=1.0)
    budget = RetryBudget(config, clock)
    budget.take()

    budget.deposit()
    budget.deposit()
    assert budget.take() == 0.0
    clock.now = 1.0
    assert budget.take() == 0.0
    assert budget.take() == 1.0


def test_a_token_that_was_not_used_is_there_again():
    budget = RetryBudget(RetryConfig(budget_burst=1), Clock())
    budget.take()

    budget.give_back()

    assert budget.take() == 0.0


@given(
    st.lists(st.tuples(st.floats(0.0, 0.5), st.booleans()), min_size=1, max_size=100)
)
def test_retries_never_exceed_burst_ratio_and_rate_together(happenings):
    clock = Clock()
    config = RetryConfig(budget_burst=5, budget_ratio=0.2, budget_retries_per_s=3.0)
    budget, n_requests, retried_at = RetryBudget(config, clock), 0, []

    for passed_s, is_request in happenings:
        clock.now += passed_s
        if is_request:
            n_requests += 1
            budget.deposit()
        else:
            retried_at.append(clock.now + budget.take())

    for n_retries, at in enumerate(sorted(retried_at), start=1):
        assert n_retries <= 5 + 0.2 * n_requests + 3.0 * at + 1e-6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chain": ("other",)}, "unknown action in chain 'other', nearest"),
        ({"chain": ("fallback", "fallback")}, "twice"),
        ({"same_server_retries": -1}, "same_server_retries"),
        ({"try_timeout_s": 0.0}, "try_timeout_s"),
        ({"patience_s": -1.0}, "patience_s"),
        ({"budget_retries_per_s": 0.0}, "budget_retries_per_s"),
        ({"budget_burst": 0.0}, "budget_burst"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        RetryConfig(**values)
