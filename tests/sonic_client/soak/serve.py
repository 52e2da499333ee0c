"""A server of the soak, in a process of its own: PORT, its board, and a seed.

The board is a file that the process and the test share in memory: the server's mood,
and how often it did each fault to a request. It outlives the process.
"""

import sys
import time
import zlib
from pathlib import Path
from threading import Lock

import numpy as np

from mock_server import FaultPlan, MockServer, Model, TensorSpec

MOODS = ("behave", "slow", "refuse", "lie")
FAULTS = (
    *("delay", "hang", "drop_connection", "refuse"),
    *("cut_answer", "change_shape", "change_datatype", "fill_with_nan", "omit_output"),
)
FULL = "in ensemble 'sums', Exceeds maximum queue size"


class Board:
    """What is written on a server's board."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * (1 + len(FAULTS))))
        self._cells = np.memmap(path, np.int64, "r+")

    @property
    def mood(self) -> str:
        return MOODS[self._cells[0]]

    @mood.setter
    def mood(self, mood: str) -> None:
        self._cells[0] = MOODS.index(mood)

    def count(self, fault: str) -> None:
        self._cells[1 + FAULTS.index(fault)] += 1

    def counts(self) -> dict[str, int]:
        return dict(zip(FAULTS, self._cells[1:].tolist(), strict=True))


def answer(tensors):
    """A checksum of every row, and its sum."""
    rows = tensors["X"]
    checksums = [zlib.crc32(row.tobytes()) for row in np.ascontiguousarray(rows)]
    return {
        "CHECKSUMS": np.array(checksums, np.int64),
        "SUMS": rows.sum(axis=1, dtype=np.float32),
    }


def model() -> Model:
    x = TensorSpec("X", "FP32", (-1, 3))
    outputs = [
        TensorSpec("CHECKSUMS", "INT64", (-1,)),
        TensorSpec("SUMS", "FP32", (-1,)),
    ]
    return Model("sums", [x], outputs, answer, instances=4)


def fault_plan(board: Board, seed: int) -> FaultPlan:
    """The faults of each mood; the board counts the requests that they hit."""
    lock = Lock()

    def count(arrival):
        for fault, _ in plan.faults_of(arrival)[1:]:
            with lock:
                board.count(fault.verb)
            if fault.verb in ("hang", "drop_connection", "refuse"):
                return  # it meets no other

    def in_mood(mood):
        return lambda _: board.mood == mood

    slow, refuse, lie = map(in_mood, ("slow", "refuse", "lie"))
    plan = (
        FaultPlan(seed=seed)
        .on()
        .call(count)
        .on(when=slow)
        .delay(0.02, jitter_s=0.1)
        .on(when=slow, share=0.02)
        .hang()
        .on(when=refuse, share=0.05)
        .drop_connection(after_model=False)
        .on(when=refuse, share=0.3)
        .refuse("UNAVAILABLE", FULL)
        .on(when=refuse, share=0.3)
        .refuse("RESOURCE_EXHAUSTED", "too many requests")
        .on(when=refuse, share=0.3)
        .refuse("CANCELLED", "Server is shutting down")
        .on(when=lie, share=0.15)
        .change_shape()
        .on(when=lie, share=0.15)
        .change_datatype("SUMS")
        .on(when=lie, share=0.15)
        .fill_with_nan()
        .on(when=lie, share=0.15)
        .omit_output("CHECKSUMS")
        # The last: nothing can be done to what is cut.
        .on(when=lie, share=0.15)
        .cut_answer()
    )
    return plan


def main(port: int, board: Board, seed: int) -> None:
    server = MockServer([model()], grpc_port=port, faults=fault_plan(board, seed))
    while True:
        try:
            server.start()
            break
        except OSError:  # the port of the one before, whose connections linger
            time.sleep(0.1)
    print(server.url, flush=True)  # noqa: T201 - the test reads it
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), Board(Path(sys.argv[2])), int(sys.argv[3]))
