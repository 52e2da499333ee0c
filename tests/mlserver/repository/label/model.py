"""Labels each row with its first feature; refuses negative ones."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Label(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        features = NumpyCodec.decode_input(payload.inputs[0]).reshape(-1, 3)
        if (features < 0).any():
            raise RuntimeError("negative radius")
        labels = features[:, 0].astype(np.int64)
        # `NumpyCodec.encode_output` would answer shape [n, 1].
        output = ResponseOutput(
            name="LABELS", datatype="INT64", shape=[len(labels)], data=labels.tolist()
        )
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[output],
        )
