"""Missing outputs, other rows, other types: named, asked for elsewhere, else fatal."""

import pytest

from mock_server import FaultPlan
from sonic_client import Client, Failure, InvalidAnswerError

WRONG = {
    "missing": FaultPlan().on().omit_output(),
    "cut": FaultPlan().on().cut_answer(),
    "type": FaultPlan().on().change_datatype("LABELS", datatype="INT32"),
    "rank": FaultPlan().on().change_shape("LABELS", shape=(2, 1)),
}


@pytest.mark.parametrize("faults", WRONG.values(), ids=WRONG)
def test_the_output_is_named(serve, config_for, requests_of, faults):
    with Client(config_for(serve(faults))) as client:
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, InvalidAnswerError)
    assert "'LABELS'" in str(failure.error)
    assert failure.tries == 1


@pytest.mark.parametrize("faults", WRONG.values(), ids=WRONG)
def test_another_server_is_asked(serve, config_for, requests_of, assert_whole, faults):
    with Client(config_for(serve(faults), serve())) as client:
        assert_whole(list(client.map(requests_of(20))), 20)


def test_another_server_that_is_coming_back_is_waited_for(
    serve, config_for, requests_of, assert_whole
):
    always_wrong = serve(FaultPlan().on().omit_output())
    restarting = serve(FaultPlan().on(5, 25).restart_server(down_s=0.2))

    # The waits between tries are none here, so many may fall into one outage.
    config = config_for(always_wrong, restarting, retry={"allowed_tries": 100})
    with Client(config) as client:
        assert_whole(list(client.map(requests_of(50))), 50)


def test_an_output_that_is_not_declared_is_left_out(
    serve, config_for, requests_of, assert_whole
):
    with Client(config_for(serve(FaultPlan().on().add_output("MORE")))) as client:
        outcomes = list(client.map(requests_of(5)))

    assert_whole(outcomes, 5)
    assert {tuple(outcome.outputs) for outcome in outcomes} == {("LABELS",)}


def test_outputs_that_come_twice_are_taken_once(
    serve, config_for, requests_of, assert_whole
):
    with Client(config_for(serve(FaultPlan().on().duplicate_answer()))) as client:
        assert_whole(list(client.map(requests_of(5))), 5)


def test_one_wrong_answer_is_no_reason_to_leave_a_server(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().on(1).omit_output())

    with Client(config_for(server)) as client:
        outcomes = list(client.map(requests_of(11)))

    assert [type(outcome) for outcome in outcomes].count(Failure) == 1
    assert {outcome.tries for outcome in outcomes} == {1}
