"""Latencies with and without hedging, where a share of the requests is very slow.

    python benchmarks/hedging.py
    python benchmarks/hedging.py --requests 2000 --every 20 --factor 50

Two mock servers, each in a process of its own, answer after `--latency` seconds, and
each answers one in `--every` requests `--factor` times as late. Prints the latencies'
quantiles, and how many requests the servers got in addition. The latency is long enough
for a machine that does other things meanwhile: what that adds is no server's delay.
"""

import argparse
import os
import subprocess
import sys
from contextlib import ExitStack

import numpy as np

from sonic_client import Client, ClientConfig, HedgeConfig, Request, WindowConfig

SERVER = """
import sys, time
from mock_server import FaultPlan, MockServer, Model, TensorSpec

latency_s, every, factor = map(float, sys.argv[1:])

def echo(tensors):
    time.sleep(latency_s)
    return {"Y": tensors["X"]}

x, y = (TensorSpec(name, "FP32", (-1, 3)) for name in "XY")
slow = FaultPlan().on(every=int(every)).delay((factor - 1.0) * latency_s)
with MockServer([Model("echo", [x], [y], echo, instances=64)], faults=slow) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def parsed():
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds")
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--factor", type=float, default=50.0)
    return parser.parse_args()


def started(stack, options):
    """Start a server; return its URL."""
    slow = (options.latency, options.every, options.factor)
    server = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", SERVER, *map(str, slow)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        )
    )
    stack.callback(server.stdin.close)
    return server.stdout.readline().strip()


def measured(options, *, is_hedged):
    """Return the latencies in seconds, and the statistics of the client."""
    with ExitStack() as stack:
        config = ClientConfig(
            servers=[started(stack, options) for _ in range(2)],
            model_name="echo",
            window=WindowConfig(max_requests=options.window),
            hedge=HedgeConfig(enabled=is_hedged),
        )
        points = {"X": np.zeros((100, 3), np.float32)}
        with Client(config) as client:
            requests = (Request(n, points) for n in range(options.requests))
            latencies = [outcome.latency_s for outcome in client.map(requests)]
            return np.array(latencies), client.statistics()


def main():
    """Print the table."""
    options = parsed()
    print(f"{'':14}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}   p99/p50   extra calls")
    for name, is_hedged in (("not hedged", False), ("hedged", True)):
        latencies, counted = measured(options, is_hedged=is_hedged)
        shown = np.quantile(latencies, (0.5, 0.95, 0.99, 1.0)) * 1e3
        cells = "".join(f"{each:8.1f}" for each in shown)
        extra = 100.0 * counted.hedges / options.requests
        print(
            f"{name:14}{cells} ms {shown[2] / shown[0]:7.1f}"
            f"   {extra:6.2f} % ({counted.hedges_won} answered first)"
        )


if __name__ == "__main__":
    main()
