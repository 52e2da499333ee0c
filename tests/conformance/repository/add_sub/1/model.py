"""OUTPUT1 = INPUT0 - INPUT1, then OUTPUT0 = INPUT0 + INPUT1: not the config's order."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        first, second = (
            pb_utils.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("INPUT0", "INPUT1")
        )
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("OUTPUT1", first - second),
                pb_utils.Tensor("OUTPUT0", first + second),
            ]
        )
