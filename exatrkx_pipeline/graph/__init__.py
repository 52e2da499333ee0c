"""From embedded points to the edges that the networks judge."""

from exatrkx_pipeline.graph.neighbours import radius_graph

__all__ = ["radius_graph"]
