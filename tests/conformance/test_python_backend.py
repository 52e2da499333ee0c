"""What a model.py is told, and what it may do."""

import json

import numpy as np

X = {"X": np.ones(1, np.int32)}


def told(ask):
    return json.loads(ask("arguments", X).texts("ARGUMENTS")[0])


def test_model_is_told_who_and_where_it_is(ask):
    arguments = told(ask)

    config = arguments.pop("model_config")
    assert arguments == {
        "model_name": "arguments",
        "model_version": "1",
        "model_instance_name": "arguments_0",
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
        "model_repository": "arguments",
        "model_dir": "1",
        "file": "model.py",
        "dtype": "object_",
    }
    assert config["parameters"] == {"colour": {"string_value": "blue"}}


def test_model_is_told_its_whole_config_as_json(ask, http_call):
    config = told(ask)["model_config"]

    assert config == http_call("GET", "/v2/models/arguments/config").json


def test_model_completes_its_own_config(ask):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    assert ask("completed", {"X": x}).tensor("Y").data == x.tobytes()


def test_model_completes_what_its_file_leaves_out(ask):
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)

    answer = ask("half_completed", {"X": x}).tensor("Y")

    assert (answer.shape, answer.data) == ((2, 2, 3), x.tobytes())


def test_objects_that_are_no_strings_are_sent_as_their_text(ask):
    data = ask("objects", X).tensor("Y").data

    texts = [b"3", b"True", b"2.5", b"None", b"text", b"\xff"]
    packed = [len(text).to_bytes(4, "little") + text for text in texts]
    assert data == b"".join(packed)


def test_model_may_call_another(ask):
    x = np.arange(16, dtype=np.int32).reshape(1, 16)
    model = np.array([b"add_sub"], dtype=object)

    answer = ask("caller", {"MODEL": model, "X": x})

    assert answer.tensor("SUM").data == (2 * x).tobytes()


def test_call_of_an_unknown_model_is_an_error(ask):
    x = np.zeros((1, 16), np.int32)
    model = np.array([b"nowhere"], dtype=object)

    assert ask("caller", {"MODEL": model, "X": x}) == ask.refusal(
        "INTERNAL", "nowhere not ready"
    )


def test_inputs_reach_the_model_in_the_order_of_the_request(ask):
    sent = {
        "X_FP32": np.ones(1, np.float32),
        "X_INT32": np.ones(1, np.int32),
        "X_BOOL": np.ones(1, np.bool_),
    }

    names = [output.name for output in ask("types", sent).outputs]

    assert names == ["Y_FP32", "Y_INT32", "Y_BOOL"]
