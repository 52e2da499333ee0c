"""KServe v2 over gRPC: translation to and from `InferenceRequest`, and nothing else."""
