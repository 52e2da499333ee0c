"""Compiled passes that take the place of torch's on the CPU, without gradients."""
