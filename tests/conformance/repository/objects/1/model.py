"""Y is an object array that holds more than strings."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        objects = np.array([3, True, 2.5, None, "text", b"\xff"], dtype=object)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("Y", objects)])
            for _ in requests
        ]
