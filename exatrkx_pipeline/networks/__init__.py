"""The three networks in plain torch: as they are trained, saved and imported."""
