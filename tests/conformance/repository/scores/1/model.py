"""Scores of four classes, as fractions, as whole numbers, and as texts."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            texts = np.array([str(value) for value in x.flat], dtype=object)
            responses.append(
                pb_utils.InferenceResponse(
                    [
                        pb_utils.Tensor("LABELLED", x),
                        pb_utils.Tensor("COUNTS", np.rint(x * 10).astype(np.int64)),
                        pb_utils.Tensor("TEXTS", texts.reshape(x.shape)),
                    ]
                )
            )
        return responses
