import time

import grpc
import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from mock_server import Arrival, FaultPlan

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def ask(client, tensor, request_id=""):
    x = tensor("X", np.ones((1, 3), np.float32))
    return client.infer("double", [x], request_id=request_id)


def test_planned_requests_are_refused_and_the_others_answered(
    serve, connect, double, tensor
):
    plan = FaultPlan().refuse(1, 3, code=UNAVAILABLE, message="rate limited")
    client = connect(serve(double, faults=plan))

    outcomes = []
    for _ in range(4):
        try:
            ask(client, tensor)
            outcomes.append("answered")
        except InferenceServerException as error:
            outcomes.append((error.status(), error.message()))

    refused = ("StatusCode.UNAVAILABLE", "rate limited")
    assert outcomes == [refused, "answered", refused, "answered"]


def test_refused_request_does_not_reach_the_model(serve, connect, double, tensor):
    plan = FaultPlan().refuse(1, code=UNAVAILABLE, message="no")
    client = connect(serve(double, faults=plan))

    with pytest.raises(InferenceServerException):
        ask(client, tensor)

    (row,) = client.get_inference_statistics("double").model_stats
    assert row.execution_count == 0
    assert row.inference_stats.fail.count == 0


def test_delayed_request_is_answered_late(serve, connect, double, tensor):
    client = connect(serve(double, faults=FaultPlan().delay(1, delay_s=0.05)))

    started = time.perf_counter()
    ask(client, tensor)

    assert time.perf_counter() - started >= 0.05


def test_plans_add_up_and_stay_as_they_were():
    first = FaultPlan().refuse(1, code=UNAVAILABLE, message="no")
    second = first.refuse(2, code=UNAVAILABLE, message="no").delay(3, delay_s=1.0)

    assert sorted(first.refusals) == [1]
    assert sorted(second.refusals) == [1, 2]
    assert second.delays_s == {3: 1.0}


def test_hook_sees_every_inference_request_in_order(serve, connect, double, tensor):
    arrivals = []
    client = connect(serve(double, faults=arrivals.append))

    ask(client, tensor, request_id="a")
    client.is_server_live()
    ask(client, tensor)

    assert arrivals == [Arrival(1, "double", "a"), Arrival(2, "double", "")]
