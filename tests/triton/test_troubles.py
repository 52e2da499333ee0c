"""Troubles of a real Triton during a job: none loses an event of a healthy server."""

import textwrap
import threading

import numpy as np
import pytest
import tritonclient.grpc as triton_client
from tritonclient.utils import InferenceServerException

from mock_server import MockServer, Model
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    Client,
    ClientConfig,
    ModelNotFoundError,
    Request,
    RetryConfig,
    ServerConfig,
)
from sonic_tracking.engines import TritonOptions, TritonServer

pytestmark = [pytest.mark.triton, pytest.mark.timeout(120)]

TENSORS = """
    backend: "python"
    max_batch_size: {batch}
    input [ {{ name: "FEATURES" data_type: TYPE_FP32 dims: {dims} }} ]
    output [ {{ name: "LABELS" data_type: TYPE_INT64 dims: [ -1 ] }} ]
"""
ONE = "instance_group [ { count: 1 kind: KIND_CPU } ]"
MODEL = """
import time
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            features = pb_utils.get_input_tensor_by_name(request, "FEATURES").as_numpy()
            self.check(features)
            labels = features[..., 0].astype(np.int64)
            tensor = pb_utils.Tensor("LABELS", labels)
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses

    def check(self, features):
        CHECK
"""
PLAIN = TENSORS.format(batch=0, dims="[ -1, 3 ]")
MODELS = {
    # name: configuration, and what the model does before it answers
    "label": (PLAIN + ONE, "pass"),
    "picky": (
        PLAIN + ONE,
        "if (features < 0).any(): raise RuntimeError('negative radius')",
    ),
    "full_device": (
        PLAIN + ONE,
        "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')",
    ),
    # One request at a time, on two instances that share what one of them needs, and
    # room for one that waits. Its time is that of a computation.
    "busy": (
        TENSORS.format(batch=1, dims="[ -1, 3 ]")
        + """
        dynamic_batching {
          preferred_batch_size: [ 1 ]
          default_queue_policy { max_queue_size: 1 }
        }
        instance_group [ {
          count: 2
          kind: KIND_CPU
          rate_limiter { resources [ { name: "device" count: 1 } ] }
        } ]
        """,
        "time.sleep(0.01)",
    ),
    "broken": (PLAIN + ONE, "pass\n\n    def initialize(self, args): open('embed.pt')"),
    "chain": (
        """
        platform: "ensemble"
        input [ { name: "FEATURES" data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
        output [ { name: "LABELS" data_type: TYPE_INT64 dims: [ -1 ] } ]
        ensemble_scheduling { step [ {
          model_name: "picky" model_version: -1
          input_map { key: "FEATURES" value: "FEATURES" }
          output_map { key: "LABELS" value: "LABELS" }
        } ] }
        """,
        None,
    ),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("troubles")
    for name, (config, check) in MODELS.items():
        version = folder / name / "1"
        version.mkdir(parents=True)
        (version.parent / "config.pbtxt").write_text(textwrap.dedent(config))
        if check is not None:
            (version / "model.py").write_text(MODEL.replace("CHECK", check))
    return folder


@pytest.fixture(scope="module")
def serve(repository, triton_python):
    """A Triton of some of the models, not started."""

    def make(*models, extra=()):
        return TritonServer(
            repository,
            python=triton_python,
            options=TritonOptions(
                models=models, is_complete=True, extra=extra, exit_limit_s=2.0
            ),
        )

    return make


@pytest.fixture(scope="module")
def triton(serve):
    limits = ("--rate-limit=execution_count", "--rate-limit-resource=device:1")
    models = ("label", "picky", "full_device", "busy", "chain")
    with serve(*models, extra=limits) as server:
        yield server


@pytest.fixture
def healthy():
    """A function that gives a server in this process of a model of this name."""
    servers = []

    def serve(name):
        model = Model(
            name,
            [Served("FEATURES", "FP32", (-1, 3))],
            [Served("LABELS", "INT64", (-1,))],
            lambda tensors: {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)},
        )
        servers.append(MockServer([model]))
        servers[-1].start()
        return servers[-1].url

    yield serve
    for server in servers:
        server.stop()


def client_of(*urls, model, allowed_tries=3, **settings):
    retry = RetryConfig(allowed_tries=allowed_tries)
    config = ClientConfig(servers=urls, model_name=model, retry=retry, **settings)
    return Client(config)


def requests(n_requests, shape=(2, 3)):
    return [
        Request(i, {"FEATURES": np.full(shape, i, np.float32)})
        for i in range(n_requests)
    ]


def assert_whole(outcomes, n_requests):
    assert [each.request_id for each in outcomes] == list(range(n_requests))
    lost = [each for each in outcomes if not isinstance(each, Answer)]
    assert lost == []
    for i, outcome in enumerate(outcomes):
        assert set(outcome.outputs["LABELS"].ravel().tolist()) == {i}


def test_connections_of_a_limited_age_cost_no_try(serve):
    """Triton ends the connection five times a second, and 10 ms later its requests."""
    age = ("--grpc-max-connection-age=200", "--grpc-max-connection-age-grace=10")
    with (
        serve("label", extra=age) as server,
        client_of(server.url, model="label", allowed_tries=1) as client,
    ):
        assert_whole(list(client.map(requests(3000))), 3000)
        summary = client.summary()

    assert summary.client.tries == {"OK": 3000}
    assert summary.client.server_changes == {}


def test_a_model_that_is_loaded_again_during_a_job_costs_no_event(triton, healthy):
    operator = triton_client.InferenceServerClient(triton.url.removeprefix("grpc://"))

    def unloading(all_requests):
        for request in all_requests:
            if request.request_id == 100:
                operator.unload_model("label")
            elif request.request_id == 300:
                operator.load_model("label")
            yield request

    preferred = ServerConfig(url=triton.url, preferred=True)
    with client_of(preferred, healthy("label"), model="label") as client:
        outcomes = list(client.map(unloading(requests(600))))
        shares = client.summary().shares()
    operator.close()

    assert_whole(outcomes, 600)
    assert min(shares.values()) > 0
    assert len(shares) == 2


def test_a_model_that_is_exchanged_on_the_only_server_costs_no_event(
    triton, repository
):
    """Loading it anew keeps the old one until the new one is ready."""
    with (
        triton_client.InferenceServerClient(
            triton.url.removeprefix("grpc://")
        ) as operator,
        client_of(triton.url, model="label") as client,
    ):
        (repository / "label" / "1" / "model.py").touch()
        exchange = threading.Thread(target=operator.load_model, args=("label",))

        def exchanging(all_requests):
            for request in all_requests:
                if request.request_id == 100:
                    exchange.start()
                yield request

        outcomes = list(client.map(exchanging(requests(600))))
        exchange.join()

    assert_whole(outcomes, 600)


def test_a_model_that_is_away_for_a_moment_on_the_only_server_costs_no_event(triton):
    operator = triton_client.InferenceServerClient(triton.url.removeprefix("grpc://"))

    def load_again():
        operator.unload_model("label")
        operator.load_model("label")

    exchange = threading.Thread(target=load_again)

    def exchanging(all_requests):
        for request in all_requests:
            if request.request_id == 100:
                exchange.start()
            yield request

    with client_of(triton.url, model="label") as client:
        outcomes = list(client.map(exchanging(requests(600))))
    exchange.join()
    operator.close()

    assert_whole(outcomes, 600)


def test_a_full_queue_and_a_rate_limit_make_requests_wait(triton):
    with client_of(triton.url, model="busy", deadline_s=60.0) as client:
        outcomes = list(client.map(requests(40, shape=(1, 2, 3))))

    assert_whole(outcomes, 40)


def test_a_device_out_of_memory_leaves_the_events_to_the_healthy_server(
    triton, healthy
):
    full = ServerConfig(url=triton.url, preferred=True)
    with client_of(full, healthy("full_device"), model="full_device") as client:
        outcomes = list(client.map(requests(300)))
        tries = client.summary().client.tries

    assert_whole(outcomes, 300)
    assert 0 < tries["INTERNAL"] <= 48  # of the first windows, not of all events


def test_a_step_of_an_ensemble_that_fails_takes_its_event_alone(triton):
    asked = requests(20)
    asked[7].inputs["FEATURES"][:] = -1

    with client_of(triton.url, model="chain") as client:
        outcomes = list(client.map(asked))

    failed = [each for each in outcomes if not isinstance(each, Answer)]
    assert [each.request_id for each in failed] == [7]
    assert "in ensemble 'chain'" in str(failed[0].error)
    assert "negative radius" in str(failed[0].error)


def test_a_step_that_fails_on_one_server_is_answered_by_another(triton, healthy):
    asked = requests(20)
    for request in asked[1::2]:
        request.inputs["FEATURES"][:] = -1

    with client_of(triton.url, healthy("chain"), model="chain") as client:
        outcomes = list(client.map(asked))

    assert [each for each in outcomes if not isinstance(each, Answer)] == []
    assert {each.outputs["LABELS"][0] for each in outcomes[1::2]} == {-1}


def test_a_model_that_failed_to_load_is_told_with_its_cause(serve):
    with (
        serve("label") as server,
        triton_client.InferenceServerClient(
            server.url.removeprefix("grpc://")
        ) as operator,
    ):
        with pytest.raises(InferenceServerException):
            operator.load_model("broken")

        with pytest.raises(
            ModelNotFoundError, match=r"'broken' failed to load there: .*embed\.pt"
        ) as caught:
            client_of(server.url, model="broken").__enter__()

    assert "\n" not in str(caught.value)
