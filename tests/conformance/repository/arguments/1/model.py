"""What a model is told when it is loaded, as JSON."""

import json
import pathlib

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        told = dict(args)
        told["model_config"] = json.loads(told["model_config"])
        told["model_repository"] = pathlib.Path(told["model_repository"]).name
        told["model_dir"] = pathlib.Path(pb_utils.get_model_dir()).name
        told["file"] = pathlib.Path(__file__).name
        output = pb_utils.get_output_config_by_name(told["model_config"], "ARGUMENTS")
        told["dtype"] = pb_utils.triton_string_to_numpy(output["data_type"]).__name__
        self.told = json.dumps(told, sort_keys=True)

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("ARGUMENTS", np.array([self.told], dtype=object))]
            )
            for _ in requests
        ]
