"""From embedded points to the edges that the networks judge."""
