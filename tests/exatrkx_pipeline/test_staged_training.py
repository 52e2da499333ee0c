"""Stages on samples of their own, from other weights, interrupted and gone on with."""

from dataclasses import replace

import pytest
import torch

from exatrkx_pipeline import Pipeline, WeightsError
from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.training.checkpoint import CheckpointFolder
from exatrkx_pipeline.training.events import Augmentation
from exatrkx_pipeline.training.recipe import EdgeSchedule, StageSchedule, TrainingRecipe
from exatrkx_pipeline.training.samples import TrainingSample, augmented_batches
from exatrkx_pipeline.training.train import train_on

STAGES = ("embedding", "filter", "gnn")


@pytest.fixture
def recipe(small_config):
    """A few steps of each stage."""
    config = replace(small_config, graph=replace(small_config.graph, r_val=1.0))
    edges = EdgeSchedule(n_steps=20, learning_rate=1e-2, max_edges=200)
    return TrainingRecipe(
        pipeline=config,
        n_validation=2,
        embedding=StageSchedule(n_steps=20, learning_rate=1e-2, events_per_step=2),
        filter=edges,
        gnn=edges,
    )


@pytest.fixture
def samples(straight_tracks):
    """Events of few particles, and of more."""

    def sample(n_tracks):
        events = [straight_tracks(n_tracks, seed=seed) for seed in range(5)]
        return TrainingSample(events[:3], events[3:])

    return {"sparse": sample(6), "dense": sample(20)}


def silent(*_):
    pass


def tensors_of(pipeline):
    return {
        f"{part}.{name}": tensor
        for part, network in pipeline.networks.items()
        for name, tensor in network.state_dict().items()
    }


def assert_same(first, second):
    ours, theirs = tensors_of(first), tensors_of(second)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=0, msg=name)
    assert first.config == second.config


class Killed(BaseException):
    """What ends a process, as far as a test can play it."""


def killed_at(stage, step):
    def progress(now_stage, now_step, _n_steps, _loss):
        if (now_stage, now_step) == (stage, step):
            raise Killed

    return progress


@pytest.mark.parametrize(
    ("stage", "step"),
    [("embedding", 3), ("embedding", 13), ("filter", 20), ("gnn", 1), ("gnn", 19)],
)
def test_an_interrupted_training_ends_as_one_that_was_not(
    recipe, samples, tmp_path, stage, step
):
    whole = train_on(samples, recipe, silent)
    checkpoints = CheckpointFolder(tmp_path, every_n_steps=5)

    with pytest.raises(Killed):
        train_on(samples, recipe, killed_at(stage, step), checkpoints=checkpoints)
    torch.manual_seed(999)  # of another process
    resumed = train_on(samples, recipe, silent, checkpoints=checkpoints)

    assert_same(resumed.pipeline, whole.pipeline)
    for ours, theirs in zip(resumed.curves, whole.curves, strict=True):
        assert (ours.losses, ours.validation) == (theirs.losses, theirs.validation)


def test_a_training_goes_on_from_its_last_checkpoint(recipe, samples, tmp_path):
    checkpoints = CheckpointFolder(tmp_path, every_n_steps=5)
    with pytest.raises(Killed):
        train_on(samples, recipe, killed_at("filter", 14), checkpoints=checkpoints)
    steps = []

    train_on(
        samples,
        recipe,
        lambda stage, step, *_: steps.append((stage, step)),
        checkpoints=checkpoints,
    )

    assert steps[0] == ("filter", 11)
    assert len(steps) == 10 + 20


def test_a_stage_is_trained_on_the_samples_that_it_names(recipe, samples):
    only_sparse = {"sparse": samples["sparse"]}
    named = replace(
        recipe,
        validation_samples=("sparse",),
        embedding=replace(recipe.embedding, samples=("sparse",)),
        filter=replace(recipe.filter, samples=("sparse",)),
        gnn=replace(recipe.gnn, samples=("sparse",)),
    )

    assert_same(
        train_on(samples, named, silent).pipeline,
        train_on(only_sparse, recipe, silent).pipeline,
    )


def test_a_stage_in_bfloat16_has_other_weights_of_the_same_precision(recipe, samples):
    rough = replace(recipe, gnn=replace(recipe.gnn, bfloat16=True))

    exact = tensors_of(train_on(samples, recipe, silent).pipeline)
    found = tensors_of(train_on(samples, rough, silent).pipeline)

    differ = {name for name in exact if not torch.equal(exact[name], found[name])}
    assert differ
    assert {name.partition(".")[0] for name in differ} == {"gnn"}
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}


def test_stages_may_take_different_samples(recipe, samples):
    mixed = replace(
        recipe,
        embedding=replace(recipe.embedding, samples=("sparse",)),
        filter=replace(recipe.filter, samples=("dense", "sparse")),
    )

    trained = train_on(samples, mixed, silent)

    assert [curve.stage for curve in trained.curves] == list(STAGES)


def test_a_sample_that_is_not_there_is_refused(recipe, samples):
    wrong = replace(recipe, gnn=replace(recipe.gnn, samples=("spares",)))

    with pytest.raises(PipelineConfigError, match=r"\[gnn\] samples: no .*'spares'"):
        train_on(samples, wrong, silent)


@pytest.fixture
def start(recipe):
    torch.manual_seed(77)
    return Pipeline.untrained(recipe.pipeline)


def test_stages_that_are_not_trained_are_kept(recipe, samples, start):
    before = {name: tensor.clone() for name, tensor in tensors_of(start).items()}

    trained = train_on(samples, replace(recipe, stages=("gnn",)), silent, start=start)

    changed = {
        name.partition(".")[0]
        for name, tensor in tensors_of(trained.pipeline).items()
        if not torch.equal(tensor, before[name])
    }
    assert changed == {"gnn"}
    assert [curve.stage for curve in trained.curves] == ["gnn"]
    for name, tensor in tensors_of(start).items():
        assert torch.equal(tensor, before[name])  # a copy was trained


def test_fine_tuning_begins_with_the_weights_and_fresh_stages_do_not(
    recipe, samples, start
):
    slow = replace(recipe.gnn, learning_rate=1e-9)
    tuned = replace(recipe, stages=("gnn",), gnn=slow)
    fresh = replace(tuned, gnn=replace(slow, fresh=True))

    def distance(recipe):
        trained = train_on(samples, recipe, silent, start=start).pipeline
        ours, theirs = trained.gnn.state_dict(), start.gnn.state_dict()
        return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)

    assert distance(tuned) < 1e-5
    assert distance(fresh) > 0.1


def test_cuts_of_the_weights_can_be_kept(recipe, samples, start):
    graph = replace(start.config.graph, r_val=0.31)
    edge_filter = replace(start.config.filter, filter_cut=0.123)
    config = replace(start.config, graph=graph, filter=edge_filter)
    cut = replace(start, config=config)
    only_gnn = replace(recipe, stages=("gnn",))

    kept = train_on(samples, replace(only_gnn, keep_cuts=True), silent, start=cut)
    chosen = train_on(samples, only_gnn, silent, start=cut)

    assert kept.pipeline.config.graph.r_val == 0.31
    assert kept.pipeline.config.filter.filter_cut == 0.123
    assert chosen.pipeline.config.graph.r_val != 0.31


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stages": ("gnn",)}, "embedding is not trained, and there are no weights"),
        (
            {"stages": ("filter", "gnn"), "keep_cuts": True},
            "embedding is not trained, and there are no weights",
        ),
    ],
    ids=["nothing to keep", "no cuts"],
)
def test_weights_to_start_from_must_be_there(recipe, samples, changed, message):
    with pytest.raises(PipelineConfigError, match=message):
        train_on(samples, replace(recipe, **changed), silent)


def test_networks_of_other_sizes_cannot_be_started_from(recipe, samples, start):
    wider = replace(recipe.pipeline.gnn, hidden=24)
    wrong = replace(recipe, pipeline=replace(recipe.pipeline, gnn=wider))

    with pytest.raises(PipelineConfigError, match=r"gnn\] hidden: .* 16, .* 24; "):
        train_on(samples, wrong, silent, start=start)

    fresh = replace(wrong, gnn=replace(wrong.gnn, fresh=True))
    assert train_on(samples, fresh, silent, start=start).pipeline.config.gnn == wider


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stages": ()}, "stages must be some of"),
        ({"stages": ("fitler",)}, "stages must be some of"),
        ({"keep_cuts": True}, "keep_cuts"),
        ({"n_validation": -1}, "n_validation"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(recipe, changed, message):
    with pytest.raises(PipelineConfigError, match=message):
        replace(recipe, **changed)


def test_no_validation_events_are_refused_where_cuts_are_to_be_chosen(recipe, samples):
    without = {
        name: TrainingSample(each.training, []) for name, each in samples.items()
    }

    with pytest.raises(PipelineConfigError, match="no validation events"):
        train_on(without, recipe, silent)


def test_validation_loss_is_told_with_each_part_of_the_curve(recipe, samples):
    trained = train_on(samples, recipe, silent)

    for curve in trained.curves:
        assert len(curve.validation) == len(curve.losses) == 20


def test_looking_at_the_validation_loss_changes_nothing(recipe, samples):
    def with_cuts_by(validation):
        # Both choose radius and cut by the same events; only one stage has others.
        events = {
            "for cuts": TrainingSample([], samples["dense"].validation),
            "sparse": TrainingSample(samples["sparse"].training, validation),
        }
        named = {
            stage: replace(recipe.schedule(stage), samples=("sparse",))
            for stage in STAGES
        }
        wanted = replace(recipe, validation_samples=("for cuts",), **named)
        return train_on(events, wanted, silent)

    with_loss, without = with_cuts_by(samples["sparse"].validation), with_cuts_by([])

    assert with_loss.curves[0].validation
    assert not without.curves[0].validation
    assert_same(with_loss.pipeline, without.pipeline)


def test_each_event_comes_once_in_a_round_wherever_one_begins(straight_tracks):
    events = [straight_tracks(n_tracks) for n_tracks in range(1, 8)]
    schedule = StageSchedule(n_steps=10, learning_rate=1.0, events_per_step=2)
    still = Augmentation(max_noise=0.0, max_inefficiency=0.0)

    def sizes(first_step, n_steps):
        batches = augmented_batches(events, still, schedule, 3, first_step=first_step)
        return [len(event) for _ in range(n_steps) for event in next(batches)]

    whole = sizes(1, 14)
    assert sorted(whole[:7]) == sorted(whole[7:14]) == [8 * n for n in range(1, 8)]
    assert whole[:7] != whole[7:14]
    assert sizes(5, 10) == whole[8:]


def test_a_damaged_checkpoint_is_named(recipe, samples, tmp_path):
    (tmp_path / "embedding.safetensors").write_bytes(b"nothing of the kind")

    with pytest.raises(WeightsError, match=r"embedding\.safetensors: damaged"):
        train_on(samples, recipe, silent, checkpoints=CheckpointFolder(tmp_path))


def test_a_checkpoint_of_another_network_is_refused(recipe, samples, tmp_path):
    checkpoints = CheckpointFolder(tmp_path, every_n_steps=5)
    with pytest.raises(Killed):
        train_on(samples, recipe, killed_at("embedding", 9), checkpoints=checkpoints)
    wider = replace(recipe.pipeline.embedding, hidden=24)
    other = replace(recipe, pipeline=replace(recipe.pipeline, embedding=wider))

    with pytest.raises(WeightsError, match="checkpoint: belongs to another network"):
        train_on(samples, other, silent, checkpoints=checkpoints)
