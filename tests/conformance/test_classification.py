"""The classification extension: the best classes instead of the tensor."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

SCORES = {"X": np.array([[0.1, 0.9, 0.5, 0.2], [4.0, 3.0, 2.0, 1.0]], np.float32)}
ALONE = {"X": np.array([0.25, 0.5, 0.5])}


@pytest.mark.parametrize(
    ("k", "shape", "texts"),
    [
        (1, (2, 1), [b"0.900000:1:muon", b"4.000000:0:electron"]),
        (
            2,
            (2, 2),
            [
                b"0.900000:1:muon",
                b"0.500000:2:tau",
                b"4.000000:0:electron",
                b"3.000000:1:muon",
            ],
        ),
        (
            9,
            (2, 4),
            [
                b"0.900000:1:muon",
                b"0.500000:2:tau",
                b"0.200000:3",
                b"0.100000:0:electron",
                b"4.000000:0:electron",
                b"3.000000:1:muon",
                b"2.000000:2:tau",
                b"1.000000:3",
            ],
        ),
    ],
)
def test_best_classes_come_first_with_their_labels(ask, k, shape, texts):
    answer = ask("scores", SCORES, outputs={"LABELLED": {"classification": k}})

    (output,) = answer.outputs
    assert (output.datatype, tuple(output.shape)) == ("BYTES", shape)
    assert answer.texts("LABELLED") == texts


def test_whole_numbers_are_written_as_such_and_without_labels(ask):
    answer = ask("scores", SCORES, outputs={"COUNTS": {"classification": 2}})

    assert answer.texts("COUNTS") == [b"9:1", b"5:2", b"40:0", b"30:1"]


def test_equal_scores_stand_in_the_order_of_their_index(ask):
    answer = ask("scores_unbatched", ALONE, outputs={"Y": {"classification": 3}})

    (output,) = answer.outputs
    assert tuple(output.shape) == (3,)
    assert answer.texts("Y") == [b"0.500000:1", b"0.500000:2", b"0.250000:0"]


def test_one_output_may_be_classified_and_another_not(ask):
    answer = ask(
        "scores", SCORES, outputs={"LABELLED": {"classification": 1}, "COUNTS": {}}
    )

    assert [(each.name, each.datatype) for each in answer.outputs] == [
        ("LABELLED", "BYTES"),
        ("COUNTS", "INT64"),
    ]


@pytest.mark.parametrize("value", [0, -1, "2", True, 1.0])
def test_number_of_classes_must_be_a_whole_number_above_0(grpc_ask, value):
    answer = grpc_ask("scores", SCORES, outputs={"LABELLED": {"classification": value}})

    assert answer == grpc_ask.refusal("INVALID_ARG", "classification expected")


def test_classes_of_another_output_are_no_error_of_the_request(stub, grpc_ask):
    request = grpc_ask.request("scores", SCORES)
    request.outputs.add(name="COUNTS").parameters["other"].CopyFrom(
        service_pb2.InferParameter(int64_param=1)
    )

    assert [each.name for each in stub.ModelInfer(request).outputs] == ["COUNTS"]
