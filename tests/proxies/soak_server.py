"""A server of the soak in a process of its own: GRPC_PORT HTTP_PORT SEED."""

import sys
import time

import numpy as np

from mock_server import FaultPlan, MockServer, Model, TensorSpec


def fault_plan(seed: int) -> FaultPlan:
    """Return what goes wrong at a server: it is slow, fails, is full, restarts."""
    return (
        FaultPlan(seed=seed)
        .on(share=0.05)
        .delay(0.05, jitter_s=0.05)
        .on(share=0.002)
        .refuse("INTERNAL", "Stub process 'label_0_0' is not healthy.")
        .on(share=0.005)
        .refuse("UNAVAILABLE", "[request id: 1] Exceeds maximum queue size")
        .on(every=5_000)
        .restart_server(down_s=1.0)
    )


def label(tensors):
    """Label every row with its first feature, the event's number."""
    return {"LABELS": tensors["FEATURES"][:, 0].astype(np.int64)}


def main(grpc_port: int, http_port: int, seed: int) -> None:
    """Serve until the standard input ends."""
    inputs = [
        TensorSpec("FEATURES", "FP32", (-1, 3)),
        TensorSpec("ROW_SPLITS", "INT64", (-1,)),
    ]
    outputs = [TensorSpec("LABELS", "INT64", (-1,))]
    server = MockServer(
        [Model("label", inputs, outputs, label, instances=8)],
        grpc_port=grpc_port,
        http_port=http_port,
        faults=fault_plan(seed),
    )
    while True:
        try:
            server.start()
            break
        except OSError:  # the ports of the one before, whose connections linger
            time.sleep(0.1)
    print("ready", flush=True)  # noqa: T201 - the soak reads it
    sys.stdin.read()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
