"""Training of the three networks on events with truth, given as arrays."""

from exatrkx_pipeline.training.checkpoint import (
    EVERY_N_STEPS,
    CheckpointFolder,
    LearningCurve,
)
from exatrkx_pipeline.training.events import Augmentation, TrainingEvent
from exatrkx_pipeline.training.optimisation import Progress
from exatrkx_pipeline.training.recipe import (
    EdgeSchedule,
    OperatingPoint,
    StageSchedule,
    Targets,
    TrainingRecipe,
    default_pipeline,
)
from exatrkx_pipeline.training.recipe_file import (
    JobRecipe,
    SampleFiles,
    bundled_recipes,
    read_recipe,
)
from exatrkx_pipeline.training.samples import TrainingSample
from exatrkx_pipeline.training.train import (
    TrainedPipeline,
    check_plan,
    train,
    train_on,
)

__all__ = [
    "EVERY_N_STEPS",
    "Augmentation",
    "CheckpointFolder",
    "EdgeSchedule",
    "JobRecipe",
    "LearningCurve",
    "OperatingPoint",
    "Progress",
    "SampleFiles",
    "StageSchedule",
    "Targets",
    "TrainedPipeline",
    "TrainingEvent",
    "TrainingRecipe",
    "TrainingSample",
    "bundled_recipes",
    "check_plan",
    "default_pipeline",
    "read_recipe",
    "train",
    "train_on",
]
