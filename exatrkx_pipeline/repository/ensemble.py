"""The paper's ensemble: which tensor of which step goes where."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXATRKX_ENSEMBLE", "EnsembleStep"]


@dataclass(frozen=True, slots=True)
class EnsembleStep:
    """One model of an ensemble, its tensors tied to those of the ensemble."""

    model: str
    inputs: dict[str, str]
    """The model's name of a tensor to the ensemble's."""
    outputs: dict[str, str]


EXATRKX_ENSEMBLE = (
    EnsembleStep("embed", {"INPUT__0": "FEATURES"}, {"OUTPUT__0": "embedded"}),
    EnsembleStep("frnn", {"INPUT0": "embedded"}, {"OUTPUT0": "edges"}),
    EnsembleStep(
        "filter",
        {"INPUT__0": "FEATURES", "INPUT__1": "edges"},
        {"OUTPUT__0": "filter_scores"},
    ),
    EnsembleStep(
        "applyfilter",
        {"FILTER_SCORES": "filter_scores", "EDGE_LIST": "edges"},
        {"EDGE_LIST_AFTER_FILTER": "filtered_edges"},
    ),
    EnsembleStep(
        "gnn",
        {"INPUT__0": "FEATURES", "INPUT__1": "filtered_edges"},
        {"OUTPUT__0": "edge_scores"},
    ),
    EnsembleStep(
        "wcc",
        {"INPUT0": "filtered_edges", "INPUT1": "edge_scores", "FEATURES": "FEATURES"},
        {"OUTPUT0": "LABELS"},
    ),
)
