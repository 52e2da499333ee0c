"""The client at servers of other releases, and of other makers."""

from dataclasses import replace

import numpy as np
import pytest

from mock_server import Ensemble, MockServer, Model, Step, profile_of
from mock_server import TensorSpec as Served
from sonic_client import (
    Answer,
    BatchingConfig,
    Client,
    ClientConfig,
    ModelNotFoundError,
    Request,
    ServerConfig,
    WindowConfig,
)

FEATURES, LABELS = Served("FEATURES", "FP32", (-1, 3)), Served("LABELS", "INT64", (-1,))
DATATYPES = {
    "FP16": np.float16([0.5, np.nan]),
    "FP32": np.float32([0.1, np.inf]),
    "FP64": np.float64([0.1, -1e300]),
    "INT8": np.int8([-128, 127]),
    "INT64": np.int64([-(2**63), 2**63 - 1]),
    "UINT64": np.uint64([0, 2**64 - 1]),
    "BOOL": np.bool_([True, False]),
    "BYTES": np.array([b"tracks", "\u00fcber".encode()], dtype=object),
}
TYPED = replace(profile_of("mlserver"), name="typed", typed_contents=True)


def label(tensors):
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


def models():
    step = Step(
        model_name="label",
        input_map={"FEATURES": "FEATURES"},
        output_map={"LABELS": "LABELS"},
    )
    tensors = [Served(name, name, (-1,)) for name in DATATYPES if name != "FP16"]
    return [
        Model("label", [FEATURES], [LABELS], label, parameters={"cut": "0.5"}),
        Model("chain", [FEATURES], [LABELS], Ensemble([step])),
        Model("echo", tensors, tensors, lambda given: given),
        Model(
            "half",
            [Served("FP16", "FP16", (-1,))],
            [Served("FP16", "FP16", (-1,))],
            lambda given: given,
        ),
    ]


@pytest.fixture(
    scope="module",
    params=["24.10", "26.04", "26.08", "mlserver", TYPED],
    ids=lambda profile: getattr(profile, "name", profile),
)
def server(request):
    with MockServer(models(), http_port=0, profile=request.param) as running:
        running.name = getattr(request.param, "name", request.param)
        yield running


@pytest.fixture(params=["grpc", "http"])
def url(request, server):
    return server.url if request.param == "grpc" else server.http_url


def client_of(url, model="label", **of_server):
    server = ServerConfig(url=url, **of_server)
    return Client(ClientConfig(servers=[server], model_name=model))


def requests(n_requests):
    return [
        Request(i, {"FEATURES": np.full((i % 3, 3), i, np.float32)})
        for i in range(n_requests)
    ]


def assert_whole(outcomes, n_requests):
    assert [each.request_id for each in outcomes] == list(range(n_requests))
    for i, outcome in enumerate(outcomes):
        assert isinstance(outcome, Answer), outcome
        assert outcome.outputs["LABELS"].tolist() == [i] * (i % 3)


@pytest.mark.parametrize("model", ["label", "chain"])
def test_events_are_answered_in_order(url, model):
    with client_of(url, model) as client:
        assert_whole(list(client.map(requests(12))), 12)


def test_model_is_described(url, server):
    with client_of(url) as client:
        metadata = client.metadata

    assert [str(spec) for spec in metadata.inputs] == ["FEATURES FP32[-1,3]"]
    is_triton = server.name.startswith("2")
    assert metadata.parameters == ({"cut": "0.5"} if is_triton else {})


def test_unknown_model_is_named(url):
    with pytest.raises(ModelNotFoundError, match="nolabel"):
        client_of(url, "nolabel").__enter__()


def test_every_datatype_comes_back(url):
    tensors = {name: DATATYPES[name] for name in DATATYPES if name != "FP16"}
    if url.startswith("http:"):  # JSON has no infinity
        tensors["FP32"] = np.float32([0.1, -0.0])

    with client_of(url, "echo") as client:
        outputs = client.infer(tensors)

    for name, array in tensors.items():
        assert outputs[name].dtype == array.dtype
        assert outputs[name].tolist() == array.tolist()
        assert not outputs[name].flags.writeable


def test_half_precision_comes_back_over_grpc(server):
    with client_of(server.url, "half") as client:
        half = client.infer({"FP16": DATATYPES["FP16"]})["FP16"]

    np.testing.assert_array_equal(half, DATATYPES["FP16"])


def test_shared_memory_that_is_off_costs_no_event(server, caplog):
    caplog.set_level("INFO", "sonic_client")
    with client_of(server.url, shared_memory="auto") as client:
        assert_whole(list(client.map(requests(12))), 12)

    told = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("sonic_client") and "no shared memory" in record.msg
    ]
    assert len(told) == 1
    if server.name.startswith("2"):
        assert "--allow-client-shm=true" in told[0]


def test_counters_are_in_the_summary_where_the_server_has_them(url, server):
    with client_of(url) as client:
        client.infer({"FEATURES": np.ones((1, 3), np.float32)})
        split = client.summary().split()

    assert (split is not None) == server.name.startswith("2")


SMALL = replace(profile_of("26.04"), max_http_input_bytes=20_000)
ROWS = 2000  # 24 kB


def test_a_body_above_the_limit_of_http_goes_to_another_server():
    with (
        MockServer(models(), http_port=0, profile=SMALL) as strict,
        MockServer(models(), http_port=0) as lenient,
    ):
        servers = [
            ServerConfig(url=strict.http_url, compression="gzip", preferred=True),
            ServerConfig(url=lenient.http_url, compression="gzip"),
        ]
        config = ClientConfig(servers=servers, model_name="label")
        with Client(config) as client:
            outcomes = list(
                client.map(
                    Request(i, {"FEATURES": np.full((ROWS, 3), i, np.float32)})
                    for i in range(6)
                )
            )

    assert [each.outputs["LABELS"][0] for each in outcomes] == list(range(6))


def test_messages_above_the_limit_of_http_are_split():
    def echo(tensors):
        return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}

    splits = Served("ROW_SPLITS", "INT64", (-1,))
    model = Model("label", [FEATURES, splits], [LABELS], echo)
    with MockServer([model], http_port=0, profile=SMALL) as server:
        config = ClientConfig(
            servers=[ServerConfig(url=server.http_url, compression="gzip")],
            model_name="label",
            layout="concat",
            batching=BatchingConfig(max_events=16, max_delay_s=60.0),
            window=WindowConfig(max_requests=1),
        )
        with Client(config) as client:
            outcomes = list(
                client.map(
                    Request(i, {"FEATURES": np.full((300, 3), i, np.float32)})
                    for i in range(32)
                )
            )
            tries = client.summary().client.tries

    assert [each.outputs["LABELS"][0] for each in outcomes] == list(range(32))
    assert tries["INVALID_ARGUMENT"] == 1
