"""What Triton writes into a configuration that leaves it out.

Source: ``NormalizeModelConfig`` and ``NormalizeInstanceGroup`` in
triton-inference-server/core, ``src/model_config_utils.cc``.
"""

from tritonclient.grpc import model_config_pb2

PYTHON = "python"
ENSEMBLE = "ensemble"
DEFAULT_IDLE_US = 1_000_000
"""Of sequences: ``max_sequence_idle_microseconds``."""


def is_ensemble(config: model_config_pb2.ModelConfig) -> bool:
    """Whether other models do the work."""
    return bool(config.platform == ENSEMBLE or config.HasField("ensemble_scheduling"))


def completed(config: model_config_pb2.ModelConfig) -> model_config_pb2.ModelConfig:
    """A copy with all defaults that Triton shows.

    An instance group that is missing altogether gets the model's name; one of the
    file that has no name gets the model's and a number.
    """
    full = model_config_pb2.ModelConfig()
    full.CopyFrom(config)
    if not full.HasField("version_policy"):
        full.version_policy.latest.num_versions = 1
    if full.HasField("dynamic_batching"):
        batching = full.dynamic_batching
        if not batching.preferred_batch_size and full.max_batch_size > 0:
            batching.preferred_batch_size.append(full.max_batch_size)
    if full.HasField("sequence_batching"):
        _complete_sequences(full.sequence_batching)
    if is_ensemble(full):
        full.platform = ENSEMBLE
        if not full.HasField("model_transaction_policy"):
            full.model_transaction_policy.decoupled = False
        return full
    full.backend = full.backend or PYTHON
    full.default_model_filename = full.default_model_filename or "model.py"
    full.optimization.input_pinned_memory.enable = True
    full.optimization.output_pinned_memory.enable = True
    _complete_instances(full)
    return full


def _complete_sequences(
    batching: model_config_pb2.ModelSequenceBatching,
) -> None:
    if not batching.max_sequence_idle_microseconds:
        batching.max_sequence_idle_microseconds = DEFAULT_IDLE_US
    if batching.WhichOneof("strategy_choice") is None:
        batching.direct.SetInParent()


def _complete_instances(config: model_config_pb2.ModelConfig) -> None:
    group_kind = model_config_pb2.ModelInstanceGroup
    if not config.instance_group:
        config.instance_group.add(name=config.name)
    for number, group in enumerate(config.instance_group):
        group.name = group.name or f"{config.name}_{number}"
        group.count = group.count or 1
        if group.kind == group_kind.KIND_AUTO:
            group.kind = group_kind.KIND_CPU
