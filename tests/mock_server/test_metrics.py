"""What Prometheus scrapes."""

import http.client
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mock_server.metrics import Metric, Sample

GAUGES = {"nv_inference_pending_request_count"}
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


def test_names_and_kinds_are_tritons(serve, double):
    headers, text = scrape(serve(double, metrics_port=0))

    kinds = dict(line.split()[2:] for line in text.splitlines() if "# TYPE" in line)
    assert kinds == dict.fromkeys(COUNTERS, "counter") | dict.fromkeys(GAUGES, "gauge")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


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
