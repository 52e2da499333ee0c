"""SHAPE = the shape in which X arrives; Y = X, which the server shapes back."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            shape = np.array([x.shape] * len(x), dtype=np.int64)
            responses.append(
                pb_utils.InferenceResponse(
                    [pb_utils.Tensor("SHAPE", shape), pb_utils.Tensor("Y", x)]
                )
            )
        return responses
