"""What a model can learn of a request, as JSON."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        facts = {
            "id": request.request_id(),
            "correlation_id": request.correlation_id(),
            "parameters": json.loads(request.parameters()),
            "requested": sorted(request.requested_output_names()),
            "flags": request.flags(),
            "timeout": request.timeout(),
            "cancelled": request.is_cancelled(),
            "inputs": [
                [tensor.name(), list(tensor.shape()), str(tensor.as_numpy().dtype)]
                for tensor in request.inputs()
            ],
        }
        text = json.dumps(facts, sort_keys=True)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("FACTS", np.array([text], dtype=object))]
        )
