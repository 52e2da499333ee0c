"""Ensembles declared in Python, and which of their steps a request needs."""

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from mock_server import Model, TensorSpec
from mock_server.model.declaration import Ensemble, Step

FREE = (-1,)


def step(model, inputs, outputs):
    return Step(model_name=model, input_map=inputs, output_map=outputs)


def spec(name):
    return TensorSpec(name, "FP32", FREE)


def times(name, factor):
    return Model(
        name, [spec("X")], [spec("Y")], lambda tensors: {"Y": factor * tensors["X"]}
    )


def test_declared_ensemble_runs_its_steps(serve, connect, tensor):
    chain = Ensemble(
        [
            step("triple", {"X": "half"}, {"Y": "OUT"}),
            step("double", {"X": "IN"}, {"Y": "half"}),
        ]
    )
    server = serve(
        times("double", 2),
        times("triple", 3),
        Model("chain", [spec("IN")], [spec("OUT")], chain),
    )

    result = connect(server).infer("chain", [tensor("IN", np.ones(2, np.float32))])

    assert result.as_numpy("OUT").tolist() == [6, 6]


def test_step_that_is_not_served_fails_the_request(serve, connect, tensor):
    chain = Ensemble([step("nowhere", {"X": "IN"}, {"Y": "OUT"})])
    server = serve(Model("chain", [spec("IN")], [spec("OUT")], chain))

    with pytest.raises(InferenceServerException) as error:
        connect(server).infer("chain", [tensor("IN", np.ones(2, np.float32))])

    assert error.value.message().startswith("in ensemble 'chain', Request for unknown")


DIAMOND = Ensemble(
    [
        step("a", {"X": "IN"}, {"L": "left", "R": "right"}),
        step("b", {"X": "left"}, {"Y": "B"}),
        step("c", {"X": "right"}, {"Y": "C"}),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "needed"), [((), [0, 1, 2]), (("B",), [0, 1]), (("C",), [0, 2])], ids=str
)
def test_steps_that_nobody_needs_are_left_out(wanted, needed):
    assert DIAMOND.needed_steps(("B", "C"), wanted) == needed


def test_output_on_the_way_to_another_is_left_out_as_by_triton():
    chain = Ensemble(
        [step("a", {"X": "IN"}, {"Y": "MID"}), step("b", {"X": "MID"}, {"Y": "OUT"})]
    )

    assert chain.needed_steps(("MID", "OUT"), ("OUT",)) == [0, 1]
    assert chain.needed_steps(("MID", "OUT"), ("MID",)) == []


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([], "needs a step"),
        ([step("a", {}, {"Y": "T"}), step("b", {}, {"Y": "T"})], "two steps: T"),
    ],
    ids=["none", "twice"],
)
def test_impossible_ensemble_is_refused(steps, text):
    with pytest.raises(ValueError, match=text):
        Ensemble(steps)
