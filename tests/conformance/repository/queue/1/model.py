"""Makes FILE.begun when it has a request, and answers once there is FILE.

SEEN tells how many requests and rows were joined, and which files came before. An
empty FILE is no gate: it is answered at once.
"""

import json
import pathlib
import time

import numpy as np
import triton_python_backend_utils as pb_utils

LIMIT_S = 30.0


class TritonPythonModel:
    def initialize(self, args):
        self.instance = args["model_instance_name"]
        self.files = []

    def execute(self, requests):
        rows = [[text.decode() for text in _file(request).flat] for request in requests]
        names = [name for row in rows for name in row]
        self.files += [pathlib.Path(name).name for name in names if name]
        for name in filter(None, names):
            self._pass(pathlib.Path(name), requests)
        seen = {
            "instance": self.instance,
            "requests": len(requests),
            "rows": len(names),
            "files": self.files,
        }
        text = json.dumps(seen)
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(
                        "SEEN", np.full(_file(request).shape, text, dtype=object)
                    )
                ]
            )
            for request in requests
        ]

    def _pass(self, file, requests):
        file.with_suffix(".begun").touch()
        deadline = time.monotonic() + LIMIT_S
        while not file.exists():
            if requests[0].is_cancelled():
                file.with_suffix(".cancelled").touch()
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {file} within {LIMIT_S} s")
            time.sleep(0.001)


def _file(request):
    return pb_utils.get_input_tensor_by_name(request, "FILE").as_numpy()
