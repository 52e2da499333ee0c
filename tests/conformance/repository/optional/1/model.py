"""SUM = NEEDED + EXTRA, 100 where a request leaves EXTRA out."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        needed = pb_utils.get_input_tensor_by_name(request, "NEEDED").as_numpy()
        extra = pb_utils.get_input_tensor_by_name(request, "EXTRA")
        added = np.int32(100) if extra is None else extra.as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("SUM", needed + added)])
