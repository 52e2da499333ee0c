"""Tensors, requests and responses as both protocols carry them."""
