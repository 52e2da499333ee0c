"""KServe v2 over gRPC: messages to and from `InferenceRequest` and its responses."""
