"""Training of the three networks on events with truth, given as arrays."""
