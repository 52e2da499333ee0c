"""Fails, or answers other than declared, in the way it is asked for."""

import numpy as np
import triton_python_backend_utils as pb_utils

PAIR = np.array([1.0, 2.0], dtype=np.float32)


class TritonPythonModel:
    def execute(self, requests):
        how = pb_utils.get_input_tensor_by_name(requests[0], "HOW").as_numpy()
        mode, _, detail = how.item().decode().partition(":")
        return getattr(self, mode)(detail)

    def well(self, detail):
        return self._with(pb_utils.Tensor("A", PAIR), pb_utils.Tensor("B", PAIR))

    def error(self, detail):
        code = getattr(pb_utils.TritonError, detail)
        error = pb_utils.TritonError(f"told to: {detail}", code)
        return [pb_utils.InferenceResponse(error=error)]

    def plain_error(self, detail):
        return [pb_utils.InferenceResponse(error=pb_utils.TritonError("plain"))]

    def outputs_and_error(self, detail):
        error = pb_utils.TritonError("with outputs")
        return [pb_utils.InferenceResponse([pb_utils.Tensor("A", PAIR)], error)]

    def model_exception(self, detail):
        raise pb_utils.TritonModelException(detail)

    def exception(self, detail):
        raise RuntimeError(detail)

    def key_error(self, detail):
        return {}[detail]

    def no_response(self, detail):
        return []

    def two_responses(self, detail):
        return 2 * self.well(detail)

    def number(self, detail):
        return [7]

    def nothing_in_list(self, detail):
        return [None]

    def not_a_list(self, detail):
        return 7

    def missing(self, detail):
        return self._with(pb_utils.Tensor("B", PAIR))

    def undeclared(self, detail):
        return self._with(pb_utils.Tensor("C", PAIR), pb_utils.Tensor("A", PAIR))

    def other_type(self, detail):
        return self._with(pb_utils.Tensor("A", PAIR.astype(np.int64)))

    def other_shape(self, detail):
        return self._with(pb_utils.Tensor("A", PAIR.reshape(1, 2, 1)))

    def twice(self, detail):
        return self._with(pb_utils.Tensor("A", PAIR), pb_utils.Tensor("A", 2 * PAIR))

    def no_tensor(self, detail):
        return [pb_utils.InferenceResponse([])]

    def not_a_number(self, detail):
        values = np.array([np.nan, -np.inf], dtype=np.float32)
        return self._with(pb_utils.Tensor("A", values))

    def strided(self, detail):
        values = np.arange(4, dtype=np.float32)[::2]
        return self._with(pb_utils.Tensor("A", values))

    def _with(self, *tensors):
        return [pb_utils.InferenceResponse(list(tensors))]
