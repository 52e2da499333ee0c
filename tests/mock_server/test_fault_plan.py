"""A plan is a value that selects, prints, pickles and loads."""

import pickle

import grpc
import pytest

from mock_server import Arrival, FaultPlan
from mock_server.faults.kinds import Delay, Hang, RequireToken
from sonic_base import ConfigError

SENTENCE = (
    FaultPlan(seed=7)
    .on(share=0.05)
    .refuse("UNAVAILABLE", "Exceeds maximum queue size")
    .on(1, range(3, 6), model="exatrkx")
    .delay(0.5, jitter_s=0.25)
    .on(every=100, after=50)
    .drop_connection(after_model=True)
    .on(larger_than_bytes=1024)
    .refuse_as_too_large(1024)
    .on(2)
    .change_shape("LABELS", shape=(3, 1))
    .on(9)
    .restart_server(down_s=1.5)
    .refuse_admission(1, 2)
    .start_slowly(seconds=2.0)
)


def is_long(arrival):
    return arrival.size_bytes > 10


def selected_numbers(plan, n=1000, **arrival):
    return [
        number
        for number in range(1, n + 1)
        if plan.faults_of(Arrival(number, "m", "", **arrival))
    ]


def test_plan_prints_as_it_was_written():
    assert eval(repr(SENTENCE), {"FaultPlan": FaultPlan}) == SENTENCE
    assert repr(FaultPlan(seed=7).on(share=0.05).refuse("INTERNAL", "no")) == (
        "FaultPlan(seed=7).on(share=0.05).refuse('INTERNAL', 'no')"
    )


def test_predicate_prints_by_its_name():
    assert repr(FaultPlan().on(when=is_long).hang()) == (
        "FaultPlan().on(when=is_long).hang()"
    )


def test_plan_survives_pickling():
    plan = SENTENCE.on(when=is_long).hang()

    assert pickle.loads(pickle.dumps(plan)) == plan


def test_clauses_add_up_and_the_plan_before_stays_as_it_was():
    first = FaultPlan().on(1).hang()
    second = first.on(2).hang()

    assert selected_numbers(first, 3) == [1]
    assert selected_numbers(second, 3) == [1, 2]


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"after": 4}, [5, 6]),
        ({"every": 3}, [3, 6]),
        ({"every": 2, "after": 2}, [4, 6]),
        ({"when": lambda arrival: arrival.number == 5}, [5]),
        ({"model": "other"}, []),
        ({"rpc": "RepositoryIndex"}, []),
        ({"rpc": None}, [1, 2, 3, 4, 5, 6]),
        ({"larger_than_bytes": 7}, [1, 2, 3, 4, 5, 6]),
        ({"larger_than_bytes": 8}, []),
    ],
    ids=lambda value: "+".join(value) or "any" if isinstance(value, dict) else "",
)
def test_all_that_a_selection_says_must_hold(selected, expected):
    plan = FaultPlan().on(**selected).hang()

    assert selected_numbers(plan, 6, size_bytes=8) == expected


def test_numbers_are_those_of_the_model_where_one_is_named():
    plan = FaultPlan().on(2, model="m").hang()

    assert plan.faults_of(Arrival(7, "m", "", model_number=2))
    assert not plan.faults_of(Arrival(2, "m", "", model_number=1))


def test_share_is_kept_and_drawn_by_the_seed():
    first = selected_numbers(FaultPlan(seed=1).on(share=0.2).hang())
    second = selected_numbers(FaultPlan(seed=2).on(share=0.2).hang())

    assert first == selected_numbers(FaultPlan(seed=1).on(share=0.2).hang())
    assert first != second
    # 200 expected, standard deviation sqrt(1000 * 0.2 * 0.8) = 13: within 5 of them.
    assert 135 < len(first) < 265


def test_jitter_lies_between_nothing_and_its_bound():
    plan = FaultPlan().on().delay(1.0, jitter_s=0.5)

    waits = []
    for number in range(1, 200):
        ((delay, draw),) = plan.faults_of(Arrival(number, "m", ""))
        assert isinstance(delay, Delay)
        waits.append(delay.drawn_s(draw.random))

    assert 1.0 <= min(waits) < 1.1
    assert 1.4 < max(waits) <= 1.5


def test_clauses_of_one_plan_draw_independently():
    both = FaultPlan().on(share=0.5).hang().on(share=0.5).hang()

    n_faults = [len(both.faults_of(Arrival(n, "m", ""))) for n in range(1, 200)]

    assert set(n_faults) == {0, 1, 2}


def test_tokens_are_not_printed():
    plan = FaultPlan().require_token("secret-1", "secret-2", requests_each=5)

    assert repr(plan) == "FaultPlan().require_token('***', requests_each=5)"
    assert "secret" not in repr(plan.rules)


def test_token_rotates_after_its_requests_and_the_last_stays():
    fault = RequireToken(("a", "b"), requests_each=2)

    assert [fault.current(n) for n in range(6)] == [0, 0, 1, 1, 1, 1]


def test_code_may_be_grpcs_own():
    plan = FaultPlan().on().refuse(grpc.StatusCode.INTERNAL, "no")

    assert plan == FaultPlan().on().refuse("INTERNAL", "no")


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda plan: plan.on(0), "counted from 1, got 0"),
        (lambda plan: plan.on(range(5)), r"counted from 1, got range\(0, 5\)"),
        (lambda plan: plan.on(share=5), "share must lie between 0 and 1, got 5"),
        (lambda plan: plan.on(every=0), "every must be at least 1, got 0"),
        (lambda plan: plan.on().delay(-1.0), "at least 0 s"),
        (lambda plan: plan.on().refuse("BUSY", ""), "unknown status code 'BUSY'"),
        (lambda plan: plan.on().cut_answer(keep=1.0), "below 1, got 1.0"),
        (lambda plan: plan.on().change_datatype(datatype="F4"), "datatype 'F4'"),
        (lambda plan: plan.require_token(""), "must not be empty"),
        (lambda plan: plan.require_token("a", "b"), "requests_each"),
    ],
)
def test_plan_that_makes_no_sense_is_refused_at_once(write, complaint):
    with pytest.raises(ValueError, match=complaint):
        write(FaultPlan())


def test_plan_of_a_file_is_the_plan_of_the_sentence(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("""
        seed = 7

        [[fault]]
        on = { share = 0.05 }
        refuse = { code = "UNAVAILABLE", text = "Exceeds maximum queue size" }

        [[fault]]
        on = { numbers = [1, "3-5"], model = "exatrkx" }
        delay = { seconds = 0.5, jitter_s = 0.25 }

        [[fault]]
        on = { every = 100, after = 50 }
        drop_connection = { after_model = true }

        [[fault]]
        on = { larger_than_bytes = 1024 }
        refuse_as_too_large = { limit_bytes = 1024 }

        [[fault]]
        on = { numbers = [2] }
        change_shape = { output = "LABELS", shape = [3, 1] }

        [[fault]]
        on = { numbers = [9] }
        restart_server = { down_s = 1.5 }

        [[fault]]
        refuse_admission = { numbers = [1, 2] }

        [[fault]]
        start_slowly = { seconds = 2 }
    """)

    assert FaultPlan.from_toml(path) == SENTENCE


def test_fault_without_options_is_true_in_a_file(tmp_path):
    (tmp_path / "plan.toml").write_text("[[fault]]\nhang = true")

    plan = FaultPlan.from_toml(tmp_path / "plan.toml")

    assert [rule.fault for rule in plan.rules] == [Hang()]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("seeds = 1", "fault plan: unknown key 'seeds', nearest: 'seed'"),
        ("seed = 'x'", "seed: expected an integer, got 'x'"),
        ("fault = 3", "expected \\[\\[fault\\]\\] tables, got 3"),
        ("fault = [3]", "1: expected a table, got 3"),
        ("[[fault]]\nhung = true", "1: unknown key 'hung', nearest: 'hang'"),
        ("[[fault]]\non = {}", "1: expected one fault, got none"),
        ("[[fault]]\nhang = true\ndelay = {seconds = 1}", "1: expected one fault"),
        ("[[fault]]\nhang = 3", "1 hang: expected a table or true, got 3"),
        ("[[fault]]\ndelay = {second = 1}", "1 delay: unknown key 'second', nearest"),
        (
            "[[fault]]\ndelay = {seconds = 'x'}",
            "seconds: expected float, got 'x'",
        ),
        ("[[fault]]\ndelay = {seconds = -1}", "1 delay: a delay and its jitter must"),
        ("[[fault]]\nrefuse = {code = 'INTERNAL'}", "1 refuse: .*'text'"),
        ("[[fault]]\non = {when = 'x'}\nhang = true", "unknown key 'when'"),
        ("[[fault]]\non = {numbers = ['x']}\nhang = true", "\"FIRST-LAST\", got 'x'"),
        ("[[fault]]\non = {}\nrequire_token = {tokens = ['a']}", "takes no `on`"),
        ("[[fault]", "plan.toml: "),
    ],
)
def test_error_in_a_file_says_where_and_what_is_expected(tmp_path, text, complaint):
    path = tmp_path / "plan.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=complaint) as error:
        FaultPlan.from_toml(path)

    assert str(error.value).startswith(f"{path}: ")
