"""One response for each of VALUES, from a thread or from execute; or errors."""

import threading

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.threads = []

    def execute(self, requests):
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "VALUES").as_numpy()
            how = pb_utils.get_input_tensor_by_name(request, "HOW")
            mode = "here" if how is None else how.as_numpy().item().decode()
            if mode == "raise":
                raise RuntimeError("decoupled")
            sender = request.get_response_sender()
            if mode == "thread":
                thread = threading.Thread(target=_send, args=(sender, values, mode))
                self.threads.append(thread)
                thread.start()
            else:
                _send(sender, values, mode)

    def finalize(self):
        for thread in self.threads:
            thread.join()


def _send(sender, values, mode):
    for value in values:
        if value < 0:
            error = pb_utils.TritonError(f"negative: {value}")
            sender.send(pb_utils.InferenceResponse(error=error))
            continue
        tensor = pb_utils.Tensor("VALUE", np.array([value], dtype=np.int32))
        flags = 0
        if mode == "final" and value == values[-1]:
            flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        sender.send(pb_utils.InferenceResponse([tensor]), flags=flags)
    if mode != "final":
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
