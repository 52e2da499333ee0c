"""The three networks, in torch: as they are trained, and as they are written down."""
