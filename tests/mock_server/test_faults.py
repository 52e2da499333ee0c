"""The view of a client on each fault, over gRPC."""

import threading
from functools import partial

import grpc
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tritonclient.grpc import InferenceServerClient, service_pb2
from tritonclient.utils import InferenceServerException

from mock_server import Arrival, FaultPlan, Model, TensorSpec

WAIT_S = 10.0
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def two_outputs():
    """Y = 2 X, and the number of each row."""
    return Model(
        name="double",
        inputs=[TensorSpec("X", "FP32", (-1, 3))],
        outputs=[TensorSpec("Y", "FP32", (-1, 3)), TensorSpec("N", "INT64", (-1,))],
        function=lambda tensors: {
            "Y": 2 * tensors["X"],
            "N": np.arange(len(tensors["X"])),
        },
    )


@pytest.fixture
def ask(tensor):
    """Sends one request for three rows of ones."""

    def send(client, **options):
        x = tensor("X", np.ones((3, 3), np.float32))
        return client.infer("double", [x], **options)

    return send


def outcome_of(call):
    try:
        call()
    except InferenceServerException as error:
        return error.status().removeprefix("StatusCode."), error.message()
    return "answered"


def test_planned_requests_are_refused_and_the_others_answered(
    serve, connect, double, ask
):
    plan = FaultPlan().on(1, 3).refuse("UNAVAILABLE", "rate limited")
    client = connect(serve(double, faults=plan))

    outcomes = [outcome_of(lambda: ask(client)) for _ in range(4)]

    refused = ("UNAVAILABLE", "rate limited")
    assert outcomes == [refused, "answered", refused, "answered"]


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c.name != "OK"])
def test_any_code_can_be_planned(serve, connect, double, ask, code):
    plan = FaultPlan().on().refuse(code, "text")

    outcome = outcome_of(lambda: ask(connect(serve(double, faults=plan))))

    assert outcome == (code.name, "text")


def test_refused_request_does_not_reach_the_model(serve, connect, double, ask):
    plan = FaultPlan().on(1).refuse(UNAVAILABLE, "no")
    client = connect(serve(double, faults=plan))

    assert outcome_of(lambda: ask(client)) == ("UNAVAILABLE", "no")

    (row,) = client.get_inference_statistics("double").model_stats
    assert row.execution_count == 0
    assert row.inference_stats.fail.count == 0


def test_delayed_request_waits_and_is_answered(serve, connect, double, ask):
    # A client that waits less than the delay leaves, one that waits longer is served.
    client = connect(serve(double, faults=FaultPlan().on().delay(0.3)))

    impatient = outcome_of(lambda: ask(client, client_timeout=0.1))

    assert impatient[0] == "DEADLINE_EXCEEDED"
    assert outcome_of(lambda: ask(client, client_timeout=WAIT_S)) == "answered"


def test_hanging_request_ends_with_the_clients_patience(serve, connect, double, ask):
    client = connect(serve(double, faults=FaultPlan().on(1).hang()))

    assert outcome_of(lambda: ask(client, client_timeout=0.1))[0] == "DEADLINE_EXCEEDED"
    assert outcome_of(lambda: ask(client)) == "answered"


def test_hanging_request_does_not_keep_the_server_from_stopping(
    serve, connect, double, tensor
):
    arrived, ended = threading.Event(), threading.Event()
    plan = FaultPlan().on().call(lambda arrival: arrived.set()).on().hang()
    server = serve(double, faults=plan)
    x = tensor("X", np.ones((1, 3), np.float32))
    connect(server).async_infer("double", [x], lambda result, error: ended.set())
    assert arrived.wait(WAIT_S)

    server.stop()

    assert ended.wait(WAIT_S)


@pytest.mark.parametrize("after_model", [False, True])
def test_dropped_connection_looks_like_a_server_that_died(
    serve, connect, double, ask, after_model
):
    plan = FaultPlan().on(1).drop_connection(after_model=after_model)
    client = connect(serve(double, faults=plan))

    code, text = outcome_of(lambda: ask(client))

    assert code == "UNAVAILABLE"
    assert "Socket closed" in text or "Connection reset" in text
    # It connects again. What is sent while gRPC still has something to write to the old
    # connection fails as well, and never leaves the client.
    while (outcome := outcome_of(lambda: ask(client))) != "answered":
        assert outcome[0] == "UNAVAILABLE"
    (row,) = client.get_inference_statistics("double").model_stats
    assert row.execution_count == (2 if after_model else 1)


def test_connection_of_another_client_is_not_dropped(serve, connect, double, ask):
    arrived, release = threading.Event(), threading.Event()

    def hold(arrival):
        arrived.set()
        release.wait(WAIT_S)

    plan = FaultPlan().on(1).call(hold).on(2).drop_connection()
    client_of = partial(
        InferenceServerClient,
        serve(double, faults=plan).url.removeprefix("grpc://"),
        channel_args=[("grpc.use_local_subchannel_pool", 1)],  # else they share one
    )
    first, second = client_of(), client_of()
    outcomes = []
    asking = threading.Thread(
        target=lambda: outcomes.append(outcome_of(lambda: ask(first)))
    )
    asking.start()
    assert arrived.wait(WAIT_S)

    assert outcome_of(lambda: ask(second))[0] == "UNAVAILABLE"
    release.set()
    asking.join(WAIT_S)
    first.close()
    second.close()

    assert outcomes == ["answered"]


def test_too_large_request_is_refused_as_grpc_refuses_it(serve, connect, double, ask):
    plan = FaultPlan().on(larger_than_bytes=16).refuse_as_too_large(limit_bytes=16)

    outcome = outcome_of(lambda: ask(connect(serve(double, faults=plan))))

    assert outcome == (
        "RESOURCE_EXHAUSTED",
        "SERVER: Received message larger than max (36 vs. 16)",
    )


def test_out_of_memory_reads_as_the_models_own_exception(serve, connect, double, ask):
    plan = FaultPlan().on().run_out_of_memory()

    code, text = outcome_of(lambda: ask(connect(serve(double, faults=plan))))

    assert code == "INTERNAL"
    assert text.startswith(
        "Failed to process the request(s) for model 'double_0_0', message: "
        "OutOfMemoryError: CUDA out of memory. Tried to allocate"
    )


def test_cut_answer_has_fewer_bytes_than_its_shape(serve, connect, two_outputs, ask):
    plan = FaultPlan().on().cut_answer("Y", keep=0.5)

    response = ask(connect(serve(two_outputs, faults=plan))).get_response()

    assert list(response.outputs[0].shape) == [3, 3]
    assert [len(raw) for raw in response.raw_output_contents] == [18, 24]


def test_an_answer_that_is_changed_otherwise_too_is_cut_last(
    serve, connect, two_outputs, ask
):
    plan = FaultPlan().on().cut_answer("Y", keep=0.5).on().change_shape("Y")

    response = ask(connect(serve(two_outputs, faults=plan))).get_response()

    assert list(response.outputs[0].shape) == [2, 3]
    assert [len(raw) for raw in response.raw_output_contents] == [12, 24]


Y, N = np.full((3, 3), 2.0), np.arange(3)


@pytest.mark.parametrize(
    ("plan", "outputs"),
    [
        (FaultPlan().on().change_shape("Y"), [("Y", Y[:2]), ("N", N)]),
        (
            FaultPlan().on().change_shape("N", shape=(2, 2)),
            [("Y", Y), ("N", [[0, 1], [2, 0]])],
        ),
        (
            FaultPlan().on().change_datatype("N", datatype="FP32"),
            [("Y", Y), ("N", N.astype(np.float32))],
        ),
        (FaultPlan().on().fill_with_nan(), [("Y", np.nan * Y), ("N", N)]),
        (FaultPlan().on().omit_output("N"), [("Y", Y)]),
        (
            FaultPlan().on().add_output("MORE"),
            [("MORE", np.zeros(3)), ("Y", Y), ("N", N)],
        ),
        (FaultPlan().on().duplicate_answer(), [("Y", Y), ("N", N)] * 2),
        (
            FaultPlan().on(1).omit_output("N").on(1).fill_with_nan("Y"),
            [("Y", np.nan * Y)],
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, FaultPlan) else "",
)
def test_answers_are_changed_as_planned(
    serve, connect, two_outputs, ask, plan, outputs
):
    answer = ask(connect(serve(two_outputs, faults=plan)))

    datatypes = {"f": "FP32", "i": "INT64"}
    assert [(each.name, each.datatype) for each in answer.get_response().outputs] == [
        (name, datatypes[np.asarray(array).dtype.kind]) for name, array in outputs
    ]
    for name, array in outputs:
        assert_array_equal(answer.as_numpy(name), array)


def test_server_restarts_at_its_port_and_loses_what_is_in_flight(
    serve, connect, double, ask
):
    server = serve(double, faults=FaultPlan().on(2).restart_server())
    url, client = server.url, connect(server)

    outcomes = [outcome_of(lambda: ask(client)) for _ in range(2)]

    assert outcomes[0] == "answered"
    assert outcomes[1][0] in {"UNAVAILABLE", "CANCELLED"}
    assert server.url == url
    ready = grpc.channel_ready_future(grpc.insecure_channel(url[7:]))
    ready.result(WAIT_S)
    assert outcome_of(lambda: ask(connect(server))) == "answered"


def test_server_can_be_stopped_while_it_is_down(serve, connect, double, ask):
    server = serve(double, faults=FaultPlan().on(1).restart_server(down_s=3600.0))
    assert outcome_of(lambda: ask(connect(server)))[0] in {"UNAVAILABLE", "CANCELLED"}

    server.stop()

    assert not [t for t in threading.enumerate() if t.name == "mock-server-restart"]


def test_admission_is_refused_at_the_index_only(serve, connect, double, ask):
    client = connect(serve(double, faults=FaultPlan().refuse_admission(1)))

    outcomes = [outcome_of(client.get_model_repository_index) for _ in range(2)]

    assert outcomes == [("CANCELLED", ""), "answered"]
    assert outcome_of(lambda: ask(client)) == "answered"


def test_every_call_needs_the_token_of_the_moment(serve, connect, double, ask):
    plan = FaultPlan().require_token("old", "new", requests_each=1)
    client = connect(serve(double, faults=plan))
    old, new = {"authorization": "Bearer old"}, {"authorization": "Bearer new"}

    outcomes = [
        outcome_of(lambda: ask(client)),
        outcome_of(client.is_server_live),
        outcome_of(lambda: ask(client, headers=new)),
        outcome_of(lambda: ask(client, headers=old)),
        outcome_of(lambda: ask(client, headers=old)),
        outcome_of(lambda: ask(client, headers=new)),
        outcome_of(lambda: client.is_server_live(headers=new)),
    ]

    assert outcomes == [
        ("UNAUTHENTICATED", "Jwt is missing"),
        ("UNAUTHENTICATED", "Jwt is missing"),
        ("UNAUTHENTICATED", "Jwt verification fails"),
        "answered",
        ("UNAUTHENTICATED", "Jwt is expired"),
        "answered",
        "answered",
    ]


def test_slow_start_is_alive_but_not_ready(serve, connect, double, ask):
    client = connect(serve(double, faults=FaultPlan().start_slowly(requests=4)))

    assert client.is_server_live()
    assert not client.is_server_ready()
    assert not client.is_model_ready("double")
    assert outcome_of(lambda: ask(client)) == ("UNAVAILABLE", "Server not ready")
    assert outcome_of(client.get_model_repository_index)[0] == "UNAVAILABLE"
    assert client.is_server_ready()
    assert outcome_of(lambda: ask(client)) == "answered"


def test_slow_start_lasts_from_the_start_of_the_server(serve, connect, double):
    client = connect(serve(double, faults=FaultPlan().start_slowly(seconds=3600.0)))

    assert not client.is_server_ready()


def test_faults_of_other_calls_are_counted_by_call(serve, connect, double, ask):
    plan = FaultPlan().on(2, rpc="ModelMetadata").refuse("INTERNAL", "no")
    client = connect(serve(double, faults=plan))

    ask(client)
    outcomes = [
        outcome_of(lambda: client.get_model_metadata("double")) for _ in range(3)
    ]

    assert outcomes == ["answered", ("INTERNAL", "no"), "answered"]


def test_hook_sees_every_inference_request_in_order(serve, connect, double, ask):
    arrivals = []
    client = connect(serve(double, faults=arrivals.append))

    ask(client, request_id="a")
    client.is_server_live()
    ask(client)

    assert arrivals == [
        Arrival(1, "double", "a", model_number=1, size_bytes=36),
        Arrival(2, "double", "", model_number=2, size_bytes=36),
    ]


def test_requests_that_cannot_be_read_get_no_fault(serve, stub_of, double):
    plan = FaultPlan().on(1).refuse("INTERNAL", "planned")
    request = service_pb2.ModelInferRequest(model_name="double")
    request.inputs.add(name="X", datatype="FP32", shape=[1, 3])

    with pytest.raises(grpc.RpcError) as error:
        stub_of(serve(double, faults=plan)).ModelInfer(request)

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
