"""The drop-in for coffea's wrapper: clouds stay whole, and nobody is lost."""

import pickle

import awkward as ak
import numpy as np
import pytest

from producers import ArrayFailedError
from producers.adapters.coffea import triton_wrapper
from sonic_client import ClientConfig, ConfigError, FailsEverywhereError

PLAIN = {"ssl": False}


class Wrapper(triton_wrapper):
    outputs = ("Y",)

    def prepare_awkward(self, x):
        return (list(self.outputs), {"X": x}), {}


class Both(Wrapper):
    outputs = ("N", "Y")


def cloud_of(n_rows, first=100):
    return np.arange(first, first + 3 * n_rows, dtype=np.float32).reshape(n_rows, 3)


def sums_of(cloud):
    return (cloud.sum(axis=1) - cloud.sum()).tolist()


def events_of(*counts, first=100):
    return ak.unflatten(cloud_of(sum(counts), first), np.array(counts))


def test_a_cloud_of_any_length_is_one_request(server):
    cloud = cloud_of(47)

    found = Wrapper(server.url("cloud"), PLAIN)(ak.from_numpy(cloud))

    assert server.shapes() == [(47, 3)]
    assert found["Y"].to_list() == sums_of(cloud)
    assert str(found["Y"].type) == "47 * float32"


def test_events_are_a_request_each_and_keep_their_counts(server):
    found = Both(server.url("cloud"), PLAIN)(events_of(2, 0, 3))

    assert server.shapes() == [(2, 3), (3, 3)]  # none for no points
    assert found["N"].to_list() == [[0, 1], [], [0, 1, 2]]


def test_a_batch_is_cut_where_the_model_wants_it_and_never_padded(server):
    rows = cloud_of(19)

    found = Wrapper(server.url("batch"), PLAIN)(ak.from_numpy(rows))

    assert server.shapes() == [(3, 3), (8, 3), (8, 3)]
    assert found["Y"].to_list() == (2 * rows).tolist()


def test_a_smaller_batch_may_be_asked_for(server):
    Wrapper(server.url("batch"), PLAIN, 5)(ak.from_numpy(cloud_of(6)))

    assert server.shapes() == [(1, 3), (5, 3)]


def test_other_numbers_are_cast(server):
    cloud = cloud_of(2).astype(np.float64)

    found = Wrapper(server.url("cloud"), PLAIN)(ak.from_numpy(cloud))

    assert found["Y"].to_list() == sums_of(cloud)


def test_numpy_arrays_need_no_preparing(server):
    cloud = cloud_of(4)

    found = Wrapper(server.url("cloud"), PLAIN)(["Y"], {"X": cloud})

    np.testing.assert_array_equal(found["Y"], sums_of(cloud))


def test_no_rows_need_no_request_and_keep_the_type(server):
    found = Both(server.url("cloud"), PLAIN)(ak.from_numpy(cloud_of(0)))

    assert server.shapes() == []
    assert str(found["N"].type) == "0 * int64"


def test_raise_names_the_event_the_model_and_the_server_and_why(server):
    with pytest.raises(ArrayFailedError) as caught:
        Wrapper(server.url("cloud"), PLAIN)(events_of(1, 2, first=10))

    line = str(caught.value)
    assert line.startswith("model 'cloud': event 1 of 2: request 1 breaks the servers")
    assert server.address in line
    assert "thirteen" in line
    assert isinstance(caught.value.__cause__, FailsEverywhereError)
    # A fault may be the server's, so it was asked again, a bounded number of times.
    assert server.shapes() == [(1, 3), *3 * [(2, 3)]]


def test_raise_names_the_rows_of_a_batch(server):
    with pytest.raises(
        ArrayFailedError, match=r"'batch': rows 2 to 3 of 5: .*thirteen"
    ):
        Wrapper(server.url("batch"), PLAIN, 2)(ak.from_numpy(cloud_of(5, first=5)))


def test_an_error_says_as_much_in_another_process(server):
    with pytest.raises(ArrayFailedError) as caught:
        Wrapper(server.url("cloud"), PLAIN)(events_of(2, first=10))

    again = pickle.loads(pickle.dumps(caught.value))

    assert str(again) == str(caught.value)
    assert (again.model, again.part) == ("cloud", "event 0 of 1")


@pytest.mark.parametrize("policy", ["skip", "fill"])
def test_causes_of_what_is_left_out_are_kept_until_they_are_taken(
    server, caplog, policy
):
    wrapper = Wrapper(server.url("cloud"), PLAIN, on_failure=policy)

    wrapper(events_of(1, 2, 3, first=10))
    wrapper(["Y"], {"X": cloud_of(2, first=10)})

    parts = [each.part for each in wrapper.take_failures()]
    assert parts == ["event 1 of 3", "rows 0 to 1 of 2"]
    assert wrapper.take_failures() == []
    assert "model 'cloud': event 1 of 3" in caplog.text


def test_skip_masks_events_without_an_answer(server):
    wrapper = Both(server.url("cloud"), PLAIN, on_failure="skip")

    found = wrapper(events_of(1, 2, 3, first=10))

    assert found["N"].to_list() == [[0], None, [0, 1, 2]]


def test_skip_masks_the_rows_of_a_batch(server):
    wrapper = Wrapper(server.url("batch"), PLAIN, 1, on_failure="skip")
    rows = cloud_of(3, first=10)

    found = wrapper(ak.from_numpy(rows))
    masked = wrapper(["Y"], {"X": rows})["Y"]

    assert found["Y"].to_list() == [[20, 22, 24], None, [32, 34, 36]]
    assert masked.mask.tolist() == [[False] * 3, [True] * 3, [False] * 3]


def test_fill_gives_each_row_of_the_event_a_value(server):
    wrapper = Both(server.url("cloud"), PLAIN, on_failure="fill", fill=-1)

    found = wrapper(events_of(1, 2, 3, first=10))

    assert found["N"].to_list() == [[0], [-1, -1], [0, 1, 2]]
    assert str(found["N"].type) == "3 * var * int64"


def test_fill_gives_each_row_of_a_batch_a_value(server):
    wrapper = Wrapper(server.url("batch"), PLAIN, 1, on_failure="fill", fill=-1)

    found = wrapper(ak.from_numpy(cloud_of(2, first=10)))

    assert found["Y"].to_list() == [[20, 22, 24], [-1, -1, -1]]


def test_a_wrapper_that_was_used_is_pickled_without_its_connection(server):
    wrapper = Wrapper(server.url("cloud"), PLAIN)
    wrapper(ak.from_numpy(cloud_of(1)))

    again = pickle.loads(pickle.dumps(wrapper))

    assert again(ak.from_numpy(cloud_of(2)))["Y"].to_list() == sums_of(cloud_of(2))
    assert wrapper.summary().models == ("cloud",)


def test_making_a_wrapper_connects_nowhere():
    wrapper = Wrapper("triton+grpc://127.0.0.1:9/cloud/1")

    (server,) = wrapper.config.servers
    assert server.url == "grpcs://127.0.0.1:9"  # encrypted, as with coffea


def test_all_settings_of_the_client_may_be_given(server):
    config = ClientConfig(servers=server.address, model_name="cloud")

    assert len(Wrapper(config)(ak.from_numpy(cloud_of(3)))["Y"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("grpc://host:1/m/1",), "expected triton\\+grpc://host:port/model/version"),
        (("triton+ftp://host:1/m/1",), "expected triton"),
        (("triton+grpc://host:1",), "expected triton"),
        (("triton+grpc://h:1/m/1", {"root_certificate": "x"}), "'root_certificates'"),
        ((ClientConfig(servers="h:1", model_name="m"), PLAIN), "go with a URL"),
    ],
    ids=["scheme", "protocol", "no model", "argument", "arguments of what"],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Wrapper(*arguments)


@pytest.mark.parametrize(
    ("outputs", "inputs", "message"),
    [
        (["Z"], {"X": ak.Array([[[1.0]]])}, "no output 'Z'"),
        (["Y"], {"W": ak.Array([[1.0]])}, "no input 'W'"),
        (["Y"], {}, r"input X FP32\[-1,3\] of model 'cloud' is missing"),
        (["Y"], {"X": ak.Array([1.0])}, "1 axes"),
    ],
    ids=["output", "input", "missing", "axes"],
)
def test_arrays_that_do_not_fit_are_named(server, outputs, inputs, message):
    wrapper = Wrapper(server.url("cloud"), PLAIN)

    with pytest.raises(ConfigError, match=message):
        wrapper.infer(outputs, inputs)

    assert server.shapes() == []
