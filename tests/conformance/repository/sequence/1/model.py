"""Running sum of each sequence, and the control inputs it came with, as JSON."""

import json

import numpy as np
import triton_python_backend_utils as pb_utils

CONTROLS = ("START", "END", "READY", "CORRID")


class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        value = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
        controls = {
            name: pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in CONTROLS
        }
        if not controls["READY"].flat[0]:  # stands for a sequence without a request
            return pb_utils.InferenceResponse([])
        sequence = request.correlation_id()
        if controls["START"].flat[0]:
            self.sums[sequence] = 0
        self.sums[sequence] += int(value.flat[0])
        total = np.full((1, 1), self.sums[sequence], dtype=np.int32)
        told = {
            name: [_plain(array.flat[0]), str(array.dtype), list(array.shape)]
            for name, array in controls.items()
        }
        text = np.array([[json.dumps(told)]], dtype=object)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("SUM", total), pb_utils.Tensor("CONTROLS", text)]
        )


def _plain(value):
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value
