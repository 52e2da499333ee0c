"""From scored edges to track candidates."""
