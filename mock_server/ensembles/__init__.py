"""Models whose work is done by others: what they are, and how they run."""
