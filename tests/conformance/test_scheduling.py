"""Instances, queues, joined batches, priorities, cancellation; no time is measured.

The models stand at gates: one answers when the file it is asked for is there.
"""

import json

import grpc
import numpy as np
import pytest

WAIT_S = 20


@pytest.fixture
def gates(tmp_path):
    """Files that do not exist yet, by name."""
    return lambda name: tmp_path / name


@pytest.fixture
def send(stub, grpc_ask, eventually):
    """Send a request that stands at a gate; wait until a model has it."""

    def start(model, *gates, waits=False, timeout=WAIT_S, **fields):
        names = [str(gate) for gate in gates] or [""]
        file = np.array(names, dtype=object)
        if model not in {"gate", "gate_pair"}:
            file = file.reshape(-1, 1)
        request = grpc_ask.request(model, {"FILE": file}, **fields)
        call = stub.ModelInfer.future(request, timeout=timeout)
        if not waits:
            for gate in gates:
                eventually(gate.with_suffix(".begun").exists)
        return call

    return start


@pytest.fixture
def seen(grpc_ask):
    """What the model says of the execution that answered."""

    def read(call):
        return json.loads(grpc_ask.answer(call.result()).texts("SEEN")[0])

    return read


@pytest.fixture
def pending(metrics, eventually):
    """Wait until so many requests of a model stand in its queue."""

    def wait(model, number):
        key = f'nv_inference_pending_request_count{{model="{model}",version="1"}}'
        eventually(lambda: metrics()[key] == number)

    return wait


def failure(call):
    error = call.exception(timeout=WAIT_S)
    return error.code().name, error.details()


def test_one_instance_runs_one_request_at_a_time(gates, send, seen, pending):
    first, second = gates("first"), gates("second")
    running = send("gate", first)
    waiting = send("gate", second, waits=True)
    pending("gate", 1)

    assert not second.with_suffix(".begun").exists()
    first.touch()
    second.touch()

    assert seen(running)["files"][-1] == "first"
    assert seen(waiting)["files"][-2:] == ["first", "second"]


def test_two_instances_run_two_requests_at_a_time(gates, send, seen):
    first, second = gates("first"), gates("second")

    calls = [send("gate_pair", first), send("gate_pair", second)]
    second.touch()
    first.touch()

    assert sorted(seen(call)["instance"] for call in calls) == [
        "gate_pair_0_0",
        "gate_pair_0_1",
    ]


def test_busy_model_blocks_no_other(gates, send, grpc_ask):
    gate = gates("gate")
    call = send("gate", gate)

    row = np.zeros((1, 16), np.int32)
    assert grpc_ask("add_sub", {"INPUT0": row, "INPUT1": row}).version == "1"

    assert not call.done()
    gate.touch()
    call.result()


def test_waiting_requests_are_joined_up_to_the_largest_batch(
    gates, send, seen, pending
):
    gate = gates("gate")
    running = send("batching", gate)
    waiting = [send("batching") for _ in range(6)]
    pending("batching", 6)
    gate.touch()
    running.result()

    joined = sorted(seen(call)["requests"] for call in waiting)
    assert joined == [2, 2, 4, 4, 4, 4]


def test_each_caller_gets_its_own_rows(gates, send, seen, pending, grpc_ask):
    gate = gates("gate")
    running = send("batching", gate)
    pair = send("batching", "", "", waits=True)
    single = send("batching")
    pending("batching", 2)
    gate.touch()
    running.result()

    assert (seen(pair)["requests"], seen(pair)["rows"]) == (2, 3)
    assert grpc_ask.answer(pair.result()).tensor("SEEN").shape == (2, 1)
    assert grpc_ask.answer(single.result()).tensor("SEEN").shape == (1, 1)


def test_model_without_batching_never_joins(gates, send, seen, pending):
    gate = gates("gate")
    running = send("gate", gate)
    waiting = [send("gate", waits=True) for _ in range(3)]
    pending("gate", 3)
    gate.touch()
    running.result()

    assert [seen(call)["requests"] for call in waiting] == [1, 1, 1]


def test_full_queue_refuses(gates, send, pending, refused):
    gate = gates("gate")
    running = send("queue", gate)
    waiting = [send("queue", waits=True) for _ in range(2)]
    pending("queue", 2)

    third = send("queue", waits=True, id="7")

    assert failure(third) == refused(
        "UNAVAILABLE", "[request id: 7] maximum queue size"
    )
    gate.touch()
    for call in (running, *waiting):
        call.result()


def test_request_that_waited_too_long_is_refused_when_its_turn_comes(
    gates, send, refused
):
    gate = gates("gate")
    running = send("queue", gate)
    late = send("queue", waits=True, parameters={"timeout": 1})
    patient = send("queue", waits=True, parameters={"timeout": 29_000_000})
    gate.touch()
    running.result()

    assert failure(late) == refused("UNAVAILABLE", "timeout expired")
    patient.result()


def test_timeout_is_not_for_models_that_do_not_allow_it(gates, send, pending):
    gate = gates("gate")
    running = send("batching", gate)
    patient = send("batching", waits=True, parameters={"timeout": 1})
    pending("batching", 1)
    gate.touch()

    running.result()
    patient.result()


@pytest.mark.parametrize(
    "levels",
    [{"low": 3, "middle": 0, "high": 1}, {"low": 3, "beyond": 99}],
    ids=["levels", "beyond-them-is-the-default"],
)
def test_high_priority_goes_first(gates, send, seen, pending, levels):
    gate, *names = (gates(name) for name in ("gate", *levels))
    running = send("priorities", gate)
    waiting = [
        send("priorities", name, waits=True, parameters={"priority": level})
        for name, level in zip(names, levels.values(), strict=True)
    ]
    pending("priorities", len(levels))
    for name in (*names, gate):
        name.touch()
    running.result()

    last = max((seen(call)["files"] for call in waiting), key=len)
    assert last[-len(levels) :] == [*reversed(levels)]


def test_cancelled_request_is_told_so(gates, send, eventually):
    gate = gates("gate")
    call = send("gate", gate)

    call.cancel()

    eventually(gate.with_suffix(".cancelled").exists)


def test_deadline_reaches_client_and_model(gates, send, eventually):
    gate = gates("gate")
    call = send("gate", gate, timeout=0.5)

    assert failure(call)[0] == "DEADLINE_EXCEEDED"

    eventually(gate.with_suffix(".cancelled").exists)


@pytest.mark.parametrize("model", ["priorities", "gate"])
def test_request_cancelled_in_a_queue_of_dynamic_batching_is_never_run(
    gates, send, pending, eventually, engine, model
):
    """Without dynamic batching, Triton runs it: nobody looks at the queue.

    The mock drops it, or requests whose clients have left would fill its memory.
    """
    is_run = engine == "triton" and model == "gate"
    gate, ahead, never = gates("gate"), gates("ahead"), gates("never")
    calls = [send(model, gate), send(model, ahead, waits=True)]
    pending(model, 1)
    cancelled = send(model, never, waits=True)
    pending(model, 2)
    cancelled.cancel()
    # What comes after it on the same connection has arrived: so has the cancellation.
    probe = gates("probe")
    send("gate_pair", probe).cancel()
    eventually(probe.with_suffix(".cancelled").exists)
    gate.touch()
    ahead.touch()

    for call in (*calls, send(model)):
        call.result()
    assert never.with_suffix(".begun").exists() is is_run
    assert cancelled.code() is grpc.StatusCode.CANCELLED


def test_failure_of_a_joined_batch_is_that_of_each(gates, send, pending, tmp_path):
    gate = gates("gate")
    running = send("batching", gate)
    # The folder is not there: the model cannot say that it has begun.
    bad = tmp_path / "nowhere" / "gate"
    waiting = [send("batching", bad, waits=True), send("batching")]
    pending("batching", 2)
    gate.touch()
    running.result()

    for call in waiting:
        code, text = failure(call)
        assert code == "INTERNAL"
        assert "FileNotFoundError" in text
