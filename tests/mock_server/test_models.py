import pytest

from mock_server import Model, TensorSpec

X = TensorSpec("X", "FP32", (-1, 3))


def identity(tensors):
    return tensors


def test_model_prints_as_it_was_written():
    model = Model(
        name="identity",
        inputs=(X,),
        outputs=(X,),
        function=identity,
        parameters={"weights_id": "abc"},
        instances=2,
    )

    assert repr(model) == (
        "Model(name='identity', "
        "inputs=(TensorSpec(name='X', datatype='FP32', shape=(-1, 3)),), "
        "outputs=(TensorSpec(name='X', datatype='FP32', shape=(-1, 3)),), "
        "function=identity, parameters={'weights_id': 'abc'}, instances=2)"
    )
    assert eval(repr(model)) == model


def test_tensor_spec_reads_like_a_declaration():
    assert str(TensorSpec("FEATURES", "FP32", [-1, 3])) == "FEATURES FP32[-1,3]"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("", "FP32", (1,)), "a tensor needs a name"),
        (("X", "FLOAT", (1,)), "tensor 'X': unknown datatype 'FLOAT', expected one of"),
        (("X", "FP32", (-2, 3)), r"at least -1, got \[-2,3\]"),
    ],
    ids=["name", "datatype", "dimension"],
)
def test_impossible_tensor_is_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        TensorSpec(*arguments)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "a model needs a name"),
        ({"inputs": []}, "model 'm' has no input"),
        ({"outputs": [X, X]}, "model 'm' has two outputs of one name"),
        ({"max_batch_size": -1}, "max_batch_size must be at least 0, got -1"),
        ({"version": "v1"}, "version must be a positive integer as text, got 'v1'"),
        ({"version": "0"}, "version must be a positive integer as text, got '0'"),
        ({"instances": 0}, "instances must be 1 to 1024, got 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_impossible_model_is_refused(changes, text):
    written = {"name": "m", "inputs": [X], "outputs": [X], "function": identity}

    with pytest.raises(ValueError, match=text):
        Model(**{**written, **changes})
