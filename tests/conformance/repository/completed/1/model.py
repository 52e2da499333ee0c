"""Y = X; its configuration is completed by the model itself."""

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        given = auto_complete_model_config.as_dict()
        facts = given["name"], given["max_batch_size"], given["input"], given["output"]
        if facts != ("completed", 0, [], []):
            raise ValueError(f"unexpected configuration: {facts}")
        auto_complete_model_config.set_max_batch_size(4)
        auto_complete_model_config.add_input(
            {"name": "X", "data_type": "TYPE_FP32", "dims": [-1]}
        )
        auto_complete_model_config.add_output(
            {"name": "Y", "data_type": "TYPE_FP32", "dims": [-1]}
        )
        auto_complete_model_config.set_dynamic_batching()
        return auto_complete_model_config

    def execute(self, requests):
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(
                        "Y",
                        pb_utils.get_input_tensor_by_name(request, "X").as_numpy(),
                    )
                ]
            )
            for request in requests
        ]
