"""Answers with its inputs."""

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Echo(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[
                ResponseOutput(
                    name=each.name,
                    datatype=each.datatype,
                    shape=each.shape,
                    data=each.data,
                )
                for each in payload.inputs
            ],
        )
