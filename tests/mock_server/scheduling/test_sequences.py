import grpc
import numpy as np
import pytest

from mock_server import ModelError
from mock_server.model.batching import Control, ControlInput, SequenceBatching
from mock_server.scheduling.sequences import SequenceBatcher
from mock_server.wire.codec import decode

MS = 1_000_000
CONTROLS = (
    ControlInput("START", Control.START, "INT32"),
    ControlInput("READY", Control.READY, "FP32"),
    ControlInput("END", Control.END, "BOOL"),
    ControlInput("CORRID", Control.CORRID, "UINT64"),
)


def batcher(*, max_batch_size=0, instances=1, **settings):
    return SequenceBatcher(
        "m",
        SequenceBatching(control_input=CONTROLS, **settings),
        max_batch_size=max_batch_size,
        instances=instances,
    )


@pytest.fixture
def step(pending):
    """Request of a sequence: ``step(7, "start")``."""

    def make(sequence, *flags, **options):
        return pending(
            "/".join([str(sequence), *flags]),
            correlation_id=sequence,
            sequence_start="start" in flags,
            sequence_end="end" in flags,
            **options,
        )

    return make


def run(scheduler, instance=0, at_ms=0):
    batch = scheduler.take(instance, at_ms * MS).batch
    scheduler.executed(instance, at_ms * MS)
    return batch


def controls(pending):
    return {
        t.name: decode(t.data, t.datatype, t.shape).ravel().tolist()[0]
        for t in pending.controls
    }


def test_controls_tell_where_in_the_sequence_a_request_is(step):
    scheduler = batcher()
    for flags in (["start"], [], ["end"]):
        scheduler.add(step(7, *flags))

    told = [controls(run(scheduler)[0]) for _ in range(3)]

    assert [each["START"] for each in told] == [1, 0, 0]
    assert [each["END"] for each in told] == [False, False, True]
    assert {each["READY"] for each in told} == {1.0}
    assert {each["CORRID"] for each in told} == {7}


@pytest.mark.parametrize(
    ("max_batch_size", "shape"), [(0, (1,)), (4, (1, 1))], ids=["plain", "rows"]
)
def test_controls_have_one_element(step, max_batch_size, shape):
    scheduler = batcher(max_batch_size=max_batch_size)
    scheduler.add(step(7, "start"))

    (request,) = run(scheduler)

    assert {tensor.shape for tensor in request.controls} == {shape}
    names = [tensor.name for tensor in request.seen_by_model().inputs]
    assert names == ["X", "START", "READY", "END", "CORRID"]


@pytest.mark.parametrize("sequence", [0, ""], ids=["number", "text"])
def test_request_of_no_sequence_is_refused(step, sequence):
    with pytest.raises(ModelError) as error:
        batcher().add(step(sequence, "start"))

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.message == (
        "inference request to model 'm' must specify a non-zero or non-empty "
        "correlation ID"
    )


@pytest.mark.parametrize("steps", [[], [("start", "end")]], ids=["new", "ended"])
def test_sequence_begins_with_a_start(step, steps):
    scheduler = batcher()
    for flags in steps:
        scheduler.add(step(9, *flags))

    with pytest.raises(ModelError) as error:
        scheduler.add(step(9))

    assert error.value.message == (
        "inference request for sequence 9 to model 'm' must specify the START flag on "
        "the first request of the sequence"
    )


def test_request_of_several_rows_is_refused(step):
    with pytest.raises(ModelError, match="must specify batch-size 1"):
        batcher(max_batch_size=4).add(step(1, "start", rows=2))


def test_sequence_stays_on_its_instance(step, ids):
    scheduler = batcher(instances=2)
    for sequence in (1, 2):
        scheduler.add(step(sequence, "start"))
        scheduler.add(step(sequence, "end"))

    assert ids(run(scheduler, 0)) == ["1/start"]
    assert ids(run(scheduler, 1)) == ["2/start"]
    assert ids(run(scheduler, 0)) == ["1/end"]
    assert run(scheduler, 0) == []
    assert ids(run(scheduler, 1)) == ["2/end"]


def test_sequence_without_a_slot_waits_until_another_ends(step, ids):
    scheduler = batcher()
    scheduler.add(step(1, "start"))
    scheduler.add(step(2, "start"))

    assert ids(run(scheduler)) == ["1/start"]
    assert run(scheduler) == []
    scheduler.add(step(1, "end"))
    assert ids(run(scheduler)) == ["1/end"]
    assert ids(run(scheduler)) == ["2/start"]


def test_idle_sequence_is_over_and_its_slot_free(step, ids):
    scheduler = batcher(max_sequence_idle_s=0.5)
    scheduler.add(step(1, "start"))
    assert ids(run(scheduler)) == ["1/start"]
    scheduler.add(step(2, "start", at_ms=100))

    waiting = scheduler.take(0, 100 * MS)
    assert waiting.batch == []
    assert waiting.wait_s == pytest.approx(0.4, abs=0.01)
    assert ids(run(scheduler, at_ms=501)) == ["2/start"]
    with pytest.raises(ModelError, match=r"sequence 1 .* must specify the START flag"):
        scheduler.add(step(1, at_ms=501))


def test_direct_batch_has_a_row_for_every_slot_up_to_its_last(step):
    scheduler = batcher(max_batch_size=4)
    scheduler.add(step(1, "start"))
    run(scheduler)
    scheduler.add(step("two", "start"))

    filler, request = run(scheduler)

    assert filler.is_filler
    assert controls(filler) == {"START": 0, "READY": 0.0, "END": False, "CORRID": 0}
    assert controls(request)["READY"] == 1.0
    assert filler.request.inputs[0].shape == request.request.inputs[0].shape


def test_oldest_strategy_joins_what_is_there_and_fills_nothing(step, ids):
    scheduler = batcher(max_batch_size=4, strategy="oldest", max_candidate_sequences=4)
    for sequence in (1, 2, 3):
        scheduler.add(step(sequence, "start", at_ms=sequence))
    assert ids(run(scheduler)) == ["1/start", "2/start", "3/start"]
    scheduler.add(step(3, at_ms=4))
    scheduler.add(step(3, "end", at_ms=5))

    assert ids(run(scheduler)) == ["3"]
    assert ids(run(scheduler)) == ["3/end"]


def test_cancelled_request_of_a_sequence_is_not_run(step, ids):
    scheduler = batcher()
    first, second = step(1, "start"), step(1)
    scheduler.add(first)
    scheduler.add(second)

    first.request.cancellation.cancel()
    turn = scheduler.take(0, 0)

    assert ids(turn.batch) == ["1"]
    assert ids(each.pending for each in turn.dropped) == ["1/start"]


def test_text_as_a_number_is_its_wire_form_cut_off(step):
    scheduler = batcher()
    scheduler.add(step("abc", "start", "end"))

    (request,) = run(scheduler)

    number = controls(request)["CORRID"]
    assert np.uint64(number).tobytes() == b"\3\0\0\0abc\0"
