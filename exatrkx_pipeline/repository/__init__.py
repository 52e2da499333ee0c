"""Model repositories: what a real Triton loads, written from the pipeline itself."""

from exatrkx_pipeline.repository.plan import MODELS, ModelPlan, plan_repository
from exatrkx_pipeline.repository.write import write_repository

__all__ = ["MODELS", "ModelPlan", "plan_repository", "write_repository"]
