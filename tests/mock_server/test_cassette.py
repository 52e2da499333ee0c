"""Recording a server, and replaying it without."""

import json
import zipfile
from contextlib import ExitStack

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from tritonclient.utils import InferenceServerException

from mock_server import MockServer, Model, ModelError, TensorSpec
from mock_server.cassette import Cassette, CassetteError, recorded_models
from mock_server.cassette.folder import key_of, rounded
from mock_server.cassette.upstream import Upstream
from mock_server.wire.codec import RawTensor, decode, encode
from mock_server.wire.inference import InferenceRequest, RequestedOutput


@pytest.fixture
def real():
    """A model whose answers are easily known, and which refuses large numbers."""

    def function(tensors):
        if (tensors["X"] > 100).any():
            raise ModelError(grpc.StatusCode.NOT_FOUND, "too large")
        return {"Y": 2 * tensors["X"], "TEXT": np.array([b"\0\xff"], object)}

    return Model(
        "double",
        [TensorSpec("X", "FP32", (-1, 3))],
        [TensorSpec("Y", "FP32", (-1, 3)), TensorSpec("TEXT", "BYTES", (-1,))],
        function,
        parameters={"cut": "0.5"},
        version="3",
    )


@pytest.fixture
def record(serve, connect, tmp_path):
    """Record what a function does with a client; the server is gone afterwards."""

    def run(model, use, folder=tmp_path / "cassette", **options):
        max_bytes = options.pop("max_bytes", None)
        with MockServer([model]) as server, Upstream(server.url) as upstream:
            models = upstream.described([model.name])
            cassette = Cassette.create(folder, models, **options)
            proxied = recorded_models(upstream, cassette, max_bytes=max_bytes)
            with MockServer(proxied) as proxy:
                use(connect(proxy))
        return folder

    return run


@pytest.fixture
def replay(record, connect, real):
    """A client of a server that replays what was recorded with a function."""
    with ExitStack() as stack:
        yield lambda use: connect(
            stack.enter_context(MockServer.replay(record(real, use)))
        )


@pytest.fixture
def ask(tensor):
    def send(client, value, n_rows=2, **options):
        x = tensor("X", np.full((n_rows, 3), value, np.float32))
        return client.infer("double", [x], **options)

    return send


def request_of(*tensors, **options):
    return InferenceRequest(model_name="m", inputs=tensors, **options)


def test_recorded_answers_come_back_without_the_server(
    record, serve, connect, ask, real
):
    folder = record(real, lambda client: [ask(client, value) for value in (1, 2)])

    with MockServer.replay(folder) as server:
        client = connect(server)
        answers = [ask(client, value, request_id="7") for value in (2, 1)]

    assert_array_equal(answers[0].as_numpy("Y"), np.full((2, 3), 4))
    assert_array_equal(answers[1].as_numpy("Y"), np.full((2, 3), 2))
    assert answers[1].as_numpy("TEXT").tolist() == [b"\0\xff"]
    assert answers[1].get_response().id == "7"
    assert answers[1].get_response().model_version == "3"


def test_recording_passes_the_real_answers_on(record, ask, real):
    answers = []

    record(real, lambda client: answers.append(ask(client, 3)), decimals=0)

    assert_array_equal(answers[0].as_numpy("Y"), np.full((2, 3), 6))


def test_model_describes_itself_as_the_recorded_one(record, serve, connect, ask, real):
    folder = record(real, lambda client: ask(client, 1))
    original = connect(serve(real))

    with MockServer.replay(folder) as server:
        client = connect(server)

        assert client.get_model_metadata("double") == original.get_model_metadata(
            "double"
        )
        assert client.get_model_config("double") == original.get_model_config("double")


def test_errors_are_recorded_too(record, connect, ask, real):
    def use(client):
        with pytest.raises(InferenceServerException, match="too large"):
            ask(client, 1000)

    folder = record(real, use)

    with (
        MockServer.replay(folder) as server,
        pytest.raises(InferenceServerException) as error,
    ):
        ask(connect(server), 1000)
    assert error.value.status() == "StatusCode.NOT_FOUND"
    assert error.value.message() == "too large"


@pytest.mark.parametrize(
    ("value", "n_rows", "near"),
    [
        (9, 2, "Of this shape 1 were, with other values, outputs or parameters"),
        (1, 3, r"Nearest of 1 recorded: X FP32\[2,3\]"),
    ],
)
def test_request_that_was_never_recorded_is_told_so(replay, ask, value, n_rows, near):
    client = replay(lambda client: ask(client, 1))

    with pytest.raises(InferenceServerException, match=near) as error:
        ask(client, value, n_rows)
    assert error.value.status() == "StatusCode.NOT_FOUND"
    assert "model 'double' was never recorded: X FP32" in error.value.message()


def test_rounding_makes_close_requests_the_same(record, connect, ask, real):
    folder = record(real, lambda client: ask(client, 1.0001), decimals=2)

    with MockServer.replay(folder) as server:
        answer = ask(connect(server), 0.9999)

    assert_array_equal(answer.as_numpy("Y"), np.full((2, 3), 2))


def test_limit_of_size_stops_recording_but_not_the_service(record, ask, real, caplog):
    answers = []

    def use(client):
        answers.extend(ask(client, value) for value in range(5))

    folder = record(real, use, max_bytes=1)

    assert len(answers) == 5
    assert len(Cassette.load(folder)) == 1
    assert caplog.text.count("nothing more is recorded") == 1


def test_same_request_is_kept_once(record, ask, real):
    folder = record(real, lambda client: [ask(client, 1) for _ in range(3)])

    assert len(Cassette.load(folder)) == 1


def test_every_response_of_a_decoupled_model_is_replayed(record, connect, tensor):
    def count(tensors):
        for value in tensors["X"]:
            yield {"Y": [value]}

    model = Model(
        "count",
        [TensorSpec("X", "INT32", (-1,))],
        [TensorSpec("Y", "INT32", (1,))],
        count,
        is_decoupled=True,
    )
    x = tensor("X", np.array([3, 1, 2], np.int32))

    def streamed(client):
        from queue import Queue

        answers = Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("count", [x], enable_empty_final_response=True)
        values = []
        while True:
            result, error = answers.get(timeout=10)
            assert error is None
            if result.get_response().outputs:
                values.append(int(result.as_numpy("Y")[0]))
            if result.get_response().parameters["triton_final_response"].bool_param:
                client.stop_stream()
                return values

    folder = record(model, streamed)

    with MockServer.replay(folder) as server:
        assert streamed(connect(server)) == [3, 1, 2]


def test_cassette_is_not_written_over_another(record, ask, real):
    record(real, lambda client: ask(client, 1))

    with pytest.raises(CassetteError, match="something in it already"):
        record(real, lambda client: None)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (
            lambda folder: (folder / "cassette.json").unlink(),
            "cassette.json: cannot read",
        ),
        (
            lambda folder: (folder / "cassette.json").write_text("{"),
            "cassette.json: not a cassette",
        ),
        (
            lambda folder: (folder / "cassette.json").write_text('{"format": 2}'),
            "expected format 1, got 2",
        ),
        (
            lambda folder: (folder / "exchanges.jsonl").write_text(
                '{"key": "../../x"}'
            ),
            "is no key",
        ),
        (
            lambda folder: next((folder / "answers").iterdir()).write_bytes(b"x"),
            "npz",
        ),
        (
            lambda folder: next((folder / "answers").iterdir()).unlink(),
            "npz",
        ),
    ],
    ids=["gone", "no-json", "format", "key", "no-archive", "answer-gone"],
)
def test_spoilt_cassette_is_refused_by_name(record, ask, real, spoil, complaint):
    folder = record(real, lambda client: ask(client, 1))
    spoil(folder)

    with pytest.raises(CassetteError, match=complaint):
        MockServer.replay(folder)


def test_pickled_data_is_not_read(record, ask, real):
    folder = record(real, lambda client: ask(client, 1))
    (answers,) = (folder / "answers").iterdir()
    np.savez(answers, **{"r0.o0": np.array([{}]), "r0.o1": np.zeros(1)})

    with pytest.raises(CassetteError, match="allow_pickle=False"):
        Cassette.load(folder)


def test_cassette_is_json_and_plain_arrays(record, ask, real):
    folder = record(real, lambda client: ask(client, 1))

    assert json.loads((folder / "cassette.json").read_text())["format"] == 1
    (line,) = (folder / "exchanges.jsonl").read_text().splitlines()
    assert json.loads(line)["shapes"] == "X FP32[2,3]"
    (answers,) = (folder / "answers").iterdir()
    assert zipfile.is_zipfile(answers)


def test_address_that_is_none_of_grpc_is_refused():
    with pytest.raises(ValueError, match="expected grpc://HOST:PORT"):
        Upstream("http://localhost:8000")


FEW = hnp.arrays(np.float32, (2, 3), elements=st.floats(-100, 100, width=32))


@given(FEW, FEW)
def test_key_is_that_of_the_content(a, b):
    one, other = (
        RawTensor("X", "FP32", (2, 3), encode(array, "FP32")) for array in (a, b)
    )
    named = one._replace(name="A")

    same = key_of(request_of(one), None) == key_of(request_of(other), None)
    assert same == (a.tobytes() == b.tobytes())
    assert key_of(request_of(one, named), None) == key_of(request_of(named, one), None)
    assert key_of(request_of(one, id="a"), None) == key_of(request_of(one), None)
    for options in (
        {"outputs": (RequestedOutput("Y"),)},
        {"parameters": {"a": 1}},
        {"correlation_id": 7},
    ):
        assert key_of(request_of(one, **options), None) != key_of(request_of(one), None)


@given(FEW)
def test_rounded_tensor_is_within_half_a_unit(array):
    tensor = RawTensor("X", "FP32", (2, 3), encode(array, "FP32"))

    result = decode(rounded(tensor, 1).data, "FP32", (2, 3))

    # Half a unit of the place, and float32's own precision of numbers up to 100.
    assert np.abs(result - array).max() <= 0.05 + 1e-5


def test_a_recording_that_was_killed_while_it_wrote_is_replayed(record, ask, real):
    folder = record(real, lambda client: ask(client, 1))
    index = folder / "exchanges.jsonl"
    line = index.read_text()

    index.write_text(line + line[: len(line) // 2])

    assert len(Cassette.load(folder)) == 1
