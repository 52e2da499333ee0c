"""What Prometheus scrapes."""

import http.client
import urllib.request

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException

from mock_server import Model, TensorSpec
from mock_server.metrics import Metric, Sample, memory_bytes

GAUGES = {
    "nv_inference_pending_request_count",
    "nv_pinned_memory_pool_total_bytes",
    "nv_pinned_memory_pool_used_bytes",
    "nv_cpu_utilization",
    "nv_cpu_memory_total_bytes",
    "nv_cpu_memory_used_bytes",
}
COUNTERS = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
}


def scrape(server):
    with urllib.request.urlopen(server.metrics_url) as answer:
        return answer.headers, answer.read().decode()


def samples_of(server):
    """Value by name and labels."""
    families = text_string_to_metric_families(scrape(server)[1])
    samples = [sample for family in families for sample in family.samples]
    return {
        (each.name.removesuffix("_total"), *sorted(each.labels.values())): each.value
        for each in samples
    }


@pytest.fixture
def failing():
    def fail(tensors):
        raise RuntimeError("no")

    return Model(
        "failing",
        [TensorSpec("X", "FP32", (-1, 3))],
        [TensorSpec("Y", "FP32", (-1, 3))],
        fail,
    )


def test_names_and_kinds_are_tritons(serve, double):
    headers, text = scrape(serve(double, metrics_port=0))

    kinds = dict(line.split()[2:] for line in text.splitlines() if "# TYPE" in line)
    assert kinds == dict.fromkeys(COUNTERS, "counter") | dict.fromkeys(GAUGES, "gauge")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


def test_success_counts_rows_and_executions(serve, connect, tensor):
    model = Model(
        "rows",
        [TensorSpec("X", "FP32", (3,))],
        [TensorSpec("Y", "FP32", (3,))],
        lambda tensors: {"Y": tensors["X"]},
        max_batch_size=8,
    )
    server = serve(model, metrics_port=0)

    connect(server).infer("rows", [tensor("X", np.ones((5, 3), np.float32))])

    values = samples_of(server)
    assert values["nv_inference_request_success", "1", "rows"] == 1
    assert values["nv_inference_count", "1", "rows"] == 5
    assert values["nv_inference_exec_count", "1", "rows"] == 1
    assert values["nv_inference_pending_request_count", "1", "rows"] == 0


def test_exception_counts_as_backend_failure(serve, connect, tensor, failing):
    server = serve(failing, metrics_port=0)

    with pytest.raises(InferenceServerException):
        connect(server).infer("failing", [tensor("X", np.ones((1, 3), np.float32))])

    values = samples_of(server)
    failures = {
        reason: values[
            "nv_inference_request_failure", "1", *sorted((reason, "failing"))
        ]
        for reason in ("OTHER", "BACKEND", "CANCELED", "REJECTED")
    }
    assert failures == {"OTHER": 0, "BACKEND": 1, "CANCELED": 0, "REJECTED": 0}
    assert values["nv_inference_exec_count", "1", "failing"] == 1
    assert values["nv_inference_request_success", "1", "failing"] == 0


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 405)])
def test_every_path_is_the_metrics(serve, double, method, status):
    address = serve(double, metrics_port=0).metrics_url.split("/")[2]
    connection = http.client.HTTPConnection(address)
    connection.request(method, "/any/path")

    assert connection.getresponse().status == status
    connection.close()


def test_labels_are_escaped():
    metric = Metric("m", "help", "gauge", (Sample({"a": 'x"\\\n'}, 1.0),))

    (family,) = text_string_to_metric_families(metric.text())
    assert family.samples[0].labels == {"a": 'x"\\\n'}


def test_system_without_meminfo_tells_nothing(tmp_path):
    assert memory_bytes(tmp_path / "none") == (0, 0)
