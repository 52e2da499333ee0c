"""The stages of the pipeline; they choose whether torch or compiled kernels compute."""

from exatrkx_pipeline.stages.clock import STAGES, StageClock, StageResults
from exatrkx_pipeline.stages.event_groups import outward_order
from exatrkx_pipeline.stages.inputs import Cylindrical, edge_inputs, node_inputs
from exatrkx_pipeline.stages.network_stages import NetworkStages, apply_filter
from exatrkx_pipeline.stages.track_candidates import track_candidates

__all__ = [
    "STAGES",
    "Cylindrical",
    "NetworkStages",
    "StageClock",
    "StageResults",
    "apply_filter",
    "edge_inputs",
    "node_inputs",
    "outward_order",
    "track_candidates",
]
