"""Model unloaded or exchanged in mid-run: looked at again, once."""

import threading
from dataclasses import replace

import pytest
from tritonclient.grpc import InferenceServerClient

from mock_server import FaultPlan, MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Client,
    HealthConfig,
    ModelMismatchError,
    ModelNotFoundError,
    Observer,
    ServerConfig,
)

GONE = "Request for unknown model: 'label' has no available versions"


def test_a_model_that_was_away_for_a_moment_costs_nothing(
    serve, config_for, requests_of, assert_whole
):
    server = serve(FaultPlan().on(3).refuse("NOT_FOUND", GONE))

    with Client(config_for(server)) as client:
        assert_whole(list(client.map(requests_of(10))), 10)


def test_a_model_that_stays_away_is_fatal(serve, config_for, requests_of):
    plan = FaultPlan().on(after=2).refuse("NOT_FOUND", GONE)
    plan = plan.on(after=1, rpc="ModelMetadata").refuse("NOT_FOUND", GONE)
    config = config_for(serve(plan))

    with Client(config) as client:
        outcomes = [*client.map(requests_of(2)), *client.map(requests_of(1))]

    assert isinstance(outcomes[-1].error, ModelNotFoundError)


def test_another_server_that_has_it_is_used(
    serve, config_for, requests_of, assert_whole
):
    leaving = serve(FaultPlan().on(after=2).refuse("NOT_FOUND", GONE))

    with Client(config_for(leaving, serve())) as client:
        assert_whole(list(client.map(requests_of(20))), 20)


def test_a_server_that_only_describes_the_model_is_left_alone_for_longer_each_time(
    serve, config_for, requests_of, assert_whole
):
    arrivals = []
    plan = FaultPlan().on().call(arrivals.append).on().refuse("NOT_FOUND", GONE)
    config = replace(
        config_for(ServerConfig(url=serve(plan).url, preferred=True), serve()),
        health=HealthConfig(first_pause_s=60.0, max_pause_s=60.0),
    )

    with Client(config) as client:
        assert_whole(list(client.map(requests_of(200))), 200)

    # Those that were in flight, and one after the model was looked for again.
    assert len(arrivals) <= config.window.max_requests + 1


def test_a_server_with_other_weights_is_warned_of_in_a_short_line(
    serve, label_model, config_for, requests_of, assert_whole, client_messages
):
    servers = [
        serve(models=[replace(label_model, parameters={"id": n, "range": n * 1000})])
        for n in "ab"
    ]

    with Client(config_for(*servers)) as client:
        while len(client.statistics().servers) < 2:  # both are known
            assert_whole(list(client.map(requests_of(20))), 20)

    (message,) = [each for each in client_messages() if "not the same weights" in each]
    assert "id 'b', not 'a', range" in message or "id 'a', not 'b', range" in message
    assert len(message) < 200


def test_a_model_that_is_unloaded_and_loaded_again_costs_no_event(
    label_model, config_for, requests_of, assert_whole
):
    is_away, asked = threading.Event(), threading.Semaphore(0)

    def note(arrival):
        if is_away.is_set():
            asked.release()

    plan = FaultPlan().on(rpc="RepositoryIndex").call(note)
    with (
        MockServer([label_model], model_control="explicit", faults=plan) as server,
        InferenceServerClient(server.url.removeprefix("grpc://")) as operator,
    ):

        def load_again():
            for _ in range(2):  # the client has seen that the model is away
                assert asked.acquire(timeout=10.0)
            operator.load_model("label")

        def unloading(requests):
            for request in requests:
                if request.request_id == 5:
                    operator.unload_model("label")
                    while operator.get_model_repository_index().models[0].reason == "":
                        pass
                    is_away.set()
                yield request

        loading = threading.Thread(target=load_again)
        loading.start()
        with Client(config_for(server)) as client:
            outcomes = list(client.map(unloading(requests_of(40))))
        loading.join()

    assert_whole(outcomes, 40)


@pytest.fixture
def exchange(serve, label_model):
    """A server, and a function that exchanges its model for one of version 2."""
    server = serve()

    def exchange(*, width):
        features = Served("FEATURES", "FP32", (-1, width))
        server.add(
            Model(
                "label",
                [features],
                label_model.outputs,
                label_model.function,
                version="2",
            )
        )

    return server, exchange


def test_a_new_version_with_the_same_tensors_is_used(
    exchange, config_for, requests_of, assert_whole
):
    server, add_version = exchange

    with Client(config_for(server)) as client:
        assert_whole(list(client.map(requests_of(3))), 3)
        add_version(width=3)
        outcomes = list(client.map(requests_of(3)))

    assert_whole(outcomes, 3)
    assert {outcome.model_version for outcome in outcomes} == {"2"}


class Changes(Observer):
    """Waits for a server to be left."""

    def __init__(self):
        self.left, self.reasons = threading.Event(), []

    def server_changed(self, event):
        self.reasons.append((event.server, event.reason))
        self.left.set()


def test_a_new_version_with_other_tensors_is_fatal(
    exchange, config_for, requests_of, assert_whole
):
    (server, add_version), changes = exchange, Changes()

    with Client(config_for(server), observers=[changes]) as client:
        assert_whole(list(client.map(requests_of(1))), 1)
        add_version(width=-1)  # takes the same requests, but is not the same model
        list(client.map(requests_of(1)))
        assert changes.left.wait(10.0)
        (failure,) = client.map(requests_of(1))

    assert isinstance(failure.error, ModelMismatchError)
    assert "'input FEATURES': expected FP32[-1,3], got FP32[-1,-1]" in str(
        failure.error
    )


def test_a_server_whose_model_differs_is_refused_with_the_differences(
    serve, config_for, requests_of, assert_whole, label_model
):
    wider = Model(
        "label",
        [Served("FEATURES", "FP32", (-1, 4))],
        label_model.outputs,
        label_model.function,
    )
    late = FaultPlan().on(rpc="RepositoryIndex").delay(0.2)
    first, other, changes = serve(), serve(late, models=[wider]), Changes()

    with Client(config_for(first, other), observers=[changes]) as client:
        assert changes.left.wait(10.0)
        outcomes = list(client.map(requests_of(20)))

    assert_whole(outcomes, 20)
    assert {outcome.server for outcome in outcomes} == {first.url}
    (left, reason), *_ = changes.reasons
    assert left == other.url
    assert f"is not the one known at {first.url}" in reason
    assert "expected FP32[-1,3], got FP32[-1,4]" in reason
