"""Ensembles: steps, tensors between them, errors, statistics of each."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

A = np.arange(16, dtype=np.int32).reshape(1, 16)
B = np.ones((1, 16), np.int32)


def how(mode):
    return {"HOW": np.array([mode.encode()], dtype=object)}


def test_tensors_go_from_step_to_step(ask):
    answer = ask("twice_sum", {"A": A, "B": B}, id="7")

    assert (answer.model, answer.version, answer.id) == ("twice_sum", "1", "7")
    assert {each.name for each in answer.outputs} == {"TWICE_A", "SUM"}
    assert answer.tensor("SUM").data == (A + B).tobytes()
    assert answer.tensor("TWICE_A").data == (2 * A).tobytes()


def test_last_output_alone_may_be_asked_for(ask):
    answer = ask("twice_sum", {"A": A, "B": B}, outputs=["TWICE_A"])

    assert [each.name for each in answer.outputs] == ["TWICE_A"]


def test_output_that_another_step_needs_cannot_be_asked_for_alone(ask):
    """Triton leaves out the steps behind it, and with them the one that makes it."""
    assert ask("twice_sum", {"A": A, "B": B}, outputs=["SUM"], id="7") == ask.refusal(
        "INVALID_ARG", "ensemble twice_sum [request id: 7] output not set"
    )


def test_batch_goes_through(ask):
    rows = np.arange(5 * 16, dtype=np.int32).reshape(5, 16)

    answer = ask("twice_sum", {"A": rows, "B": rows})

    assert answer.tensor("TWICE_A").data == (2 * rows).tobytes()


def test_wrong_request_is_refused_as_by_any_model(ask):
    assert ask("twice_sum", {"A": A}) == ask.refusal(
        "INVALID_ARG", "expected 2 got 1 twice_sum A B"
    )


@pytest.mark.parametrize(
    ("mode", "code", "words"),
    [
        ("error:UNAVAILABLE", "UNAVAILABLE", "told to: UNAVAILABLE"),
        ("exception:no hits", "INTERNAL", "misbehaving_0 RuntimeError: no hits"),
    ],
)
def test_failure_of_a_step_is_that_of_the_ensemble(ask, mode, code, words):
    assert ask("failing_step", how(mode)) == ask.refusal(
        code, f"ensemble failing_step {words}"
    )


def test_output_that_a_step_did_not_return_is_silently_missing(ask):
    assert ask("failing_step", how("missing")).outputs == ()


def test_ensemble_of_a_decoupled_model_answers_as_often(stub, grpc_ask):
    request = grpc_ask.request(
        "decoupled_ensemble", {"VALUES": np.array([1, 2, 3], np.int32)}, id="7"
    )

    messages = list(stub.ModelStreamInfer(iter([request]), timeout=20))

    assert [
        np.frombuffer(m.infer_response.raw_output_contents[0], "<i4").item()
        for m in messages
    ] == [1, 2, 3]
    assert {m.infer_response.model_name for m in messages} == {"decoupled_ensemble"}
    assert {m.infer_response.id for m in messages} == {"7"}


def test_ensemble_and_its_steps_are_counted(stub, ask, eventually):
    def rows():
        stats = stub.ModelStatistics(service_pb2.ModelStatisticsRequest()).model_stats
        return {row.name: row for row in stats}

    before = rows()
    ask("twice_sum", {"A": np.repeat(A, 3, axis=0), "B": np.repeat(B, 3, axis=0)})
    eventually(
        lambda: (
            rows()["twice_sum"].inference_stats.success.count
            > before["twice_sum"].inference_stats.success.count
        )
    )

    after = rows()
    assert [
        [
            after[name].inference_count - before[name].inference_count,
            after[name].execution_count - before[name].execution_count,
            after[name].inference_stats.success.count
            - before[name].inference_stats.success.count,
            after[name].inference_stats.queue.count
            - before[name].inference_stats.queue.count,
            after[name].inference_stats.compute_infer.count
            - before[name].inference_stats.compute_infer.count,
        ]
        for name in ("twice_sum", "add_sub")
    ] == [[3, 1, 1, 1, 1], [6, 2, 2, 2, 2]]


def test_failed_step_fails_the_ensemble_twice_in_the_counters(stub, ask, eventually):
    def read(name):
        (row,) = stub.ModelStatistics(
            service_pb2.ModelStatisticsRequest(name=name)
        ).model_stats
        stats = row.inference_stats
        return row.execution_count, stats.success.count, stats.fail.count

    before = read("failing_step")
    ask("failing_step", how("exception:x"))
    eventually(lambda: read("failing_step") != before)

    assert [
        new - old for new, old in zip(read("failing_step"), before, strict=True)
    ] == [0, 0, 2]
