from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exatrkx_pipeline.errors import PipelineConfigError
from exatrkx_pipeline.training.events import (
    NOISE,
    Augmentation,
    TrainingEvent,
    true_edges,
    wedge,
)
from exatrkx_pipeline.training.losses import build_graph, edge_loss
from exatrkx_pipeline.training.operating_point import with_operating_point
from exatrkx_pipeline.training.recipe import (
    EdgeSchedule,
    OperatingPoint,
    StageSchedule,
    Targets,
    TrainingRecipe,
)
from exatrkx_pipeline.training.train import train


def test_true_edges_join_consecutive_points_of_a_particle():
    # Two particles; the second is produced at r = 100 mm and flies inward.
    xyz = np.array([[30, 0, 0], [60, 0, 0], [90, 0, 0], [0, 80, 0], [0, 40, 0.0]])
    event = TrainingEvent.from_arrays(
        xyz,
        np.array([0, 0, 0, 1, 1]),
        momentum_gev=np.array([[1.0, 0, 0], [0, -1.0, 0]]),
        vertex_mm=np.array([[0.0, 0, 0], [0, 100.0, 0]]),
    )

    # Sorted outward: r = 30, 40, 60, 80, 90.
    assert event.r.tolist() == [30.0, 40.0, 60.0, 80.0, 90.0]
    assert true_edges(event).T.tolist() == [[2, 0], [3, 1], [4, 2]]


def test_noise_has_no_true_edge_and_no_momentum():
    event = TrainingEvent.from_arrays(
        np.array([[30.0, 0, 0], [60.0, 0, 0]]),
        np.array([NOISE, NOISE]),
        momentum_gev=np.empty((0, 3)),
        vertex_mm=np.empty((0, 3)),
    )

    assert true_edges(event).shape == (2, 0)
    assert event.pt_gev.tolist() == [0.0, 0.0]


@given(st.integers(0, 2**16))
def test_augmentation_turns_and_mirrors_but_keeps_what_physics_keeps(
    straight_tracks, seed
):
    event = straight_tracks()
    still = Augmentation(max_noise=0.0, max_inefficiency=0.0)

    turned = still.apply(event, event, np.random.default_rng(seed))

    assert len(turned) == len(event)
    np.testing.assert_allclose(np.sort(turned.r), np.sort(event.r))
    np.testing.assert_allclose(np.sort(abs(turned.z)), np.sort(abs(event.z)))
    assert (abs(turned.phi) <= np.pi).all()
    assert true_edges(turned).shape == true_edges(event).shape


def test_augmentation_adds_noise_and_loses_points_within_its_limits(straight_tracks):
    event, other = straight_tracks(), straight_tracks(seed=1)
    rng = np.random.default_rng(4)
    augmentation = Augmentation(max_noise=0.5, max_inefficiency=0.2)

    results = [augmentation.apply(event, other, rng) for _ in range(30)]

    n_noise = [int((each.particle == NOISE).sum()) for each in results]
    n_kept = [len(each) - noise for each, noise in zip(results, n_noise, strict=True)]
    assert 0 < max(n_noise) <= 0.5 * len(event)
    assert 0.6 * len(event) < min(n_kept) < len(event)


def test_augmentation_moves_points_across_and_along_the_beam(straight_tracks):
    event = straight_tracks(200)
    still = {"max_noise": 0.0, "max_inefficiency": 0.0}
    rng = [np.random.default_rng(4) for _ in range(2)]

    plain = Augmentation(**still).apply(event, event, rng[0])
    moved = Augmentation(**still, max_smearing_mm=0.5).apply(event, event, rng[1])

    # The same points, turned the same way; their order may have changed a little.
    def by_identity(event):
        return event.take(np.lexsort((event.path_mm, event.particle)))

    plain, moved = by_identity(plain), by_identity(moved)
    across = plain.r * np.remainder(moved.phi - plain.phi + 1.0, 2 * np.pi) - plain.r
    along = moved.z - plain.z
    assert (moved.r == plain.r).all()
    assert 0.0 < across.std() < 0.6
    assert across.std() == pytest.approx(along.std(), rel=0.1)
    assert np.corrcoef(across, along)[0, 1] == pytest.approx(0.0, abs=0.1)


def test_labels_of_a_graph_mark_true_edges_and_ignore_others_of_the_particle(
    small_config, small_pipeline, straight_tracks
):
    event = straight_tracks(3, 5)
    config = replace(small_config, graph=replace(small_config.graph, r_val=100.0))

    graph = build_graph(event, replace(small_pipeline, config=config), Targets())

    n = len(event)
    assert graph.edge_index.shape == (2, n * (n - 1) // 2)
    particle = torch.from_numpy(event.particle)[graph.edge_index]
    same = particle[0] == particle[1]
    assert int(graph.label.sum()) == 3 * 4
    assert (graph.weight[same & (graph.label == 0)] == 0).all()
    assert (graph.weight[~same] == 1).all()


def test_edges_of_particles_too_soft_to_be_targets_are_false(
    small_config, small_pipeline, straight_tracks
):
    event = straight_tracks(3, 5)
    pt = np.where(event.particle == 0, 0.3, np.where(event.particle == 1, 0.7, 2.0))
    event = replace(event, pt_gev=pt.astype(np.float32))
    config = replace(small_config, graph=replace(small_config.graph, r_val=100.0))
    targets = Targets(min_pt_gev=0.5, full_pt_gev=1.0, partial_weight=0.25)

    graph = build_graph(event, replace(small_pipeline, config=config), targets)

    particle = torch.from_numpy(event.particle)[graph.edge_index]
    of = [(particle == k).all(0) for k in range(3)]
    assert [int(graph.label[edges].sum()) for edges in of] == [0, 4, 4]
    assert (graph.weight[of[0]] == 1).all()
    assert sorted(set(graph.weight[of[1]].tolist())) == [0.0, 0.25]
    assert sorted(set(graph.weight[of[2]].tolist())) == [0.0, 1.0]


def test_a_thinned_graph_keeps_true_edges_and_the_weight_of_the_others(
    small_config, small_pipeline, straight_tracks
):
    event = straight_tracks(30, 8)
    config = replace(small_config, graph=replace(small_config.graph, r_val=100.0))
    graph = build_graph(event, replace(small_pipeline, config=config), Targets())

    thin = graph.thinned(3_000, np.random.default_rng(1))

    n_true = int(graph.label.sum())
    assert int(thin.label.sum()) == n_true
    assert len(thin.label) == pytest.approx(3_000 + n_true, rel=0.1)
    assert float(thin.weight.sum()) == pytest.approx(float(graph.weight.sum()), rel=0.1)
    assert graph.thinned(len(graph.label), np.random.default_rng(1)) is graph


def test_bfloat16_changes_the_loss_and_its_gradient_little(
    small_pipeline, straight_tracks
):
    config, gnn = small_pipeline.config, small_pipeline.gnn
    graph = build_graph(straight_tracks(), small_pipeline, Targets())

    def loss_and_gradient(*, bfloat16):
        loss = edge_loss(
            gnn,
            graph,
            config.gnn.node_inputs,
            config.gnn.edge_inputs,
            true_weight=2.0,
            bfloat16=bfloat16,
        )
        return loss, torch.autograd.grad(loss, list(gnn.parameters()))

    loss, gradient = loss_and_gradient(bfloat16=False)
    rough_loss, rough_gradient = loss_and_gradient(bfloat16=True)

    assert rough_loss.dtype == torch.float32
    assert 0.0 < abs(rough_loss - loss) < 0.05 * loss
    exact, rough = (
        torch.cat([part.flatten() for part in parts])
        for parts in (gradient, rough_gradient)
    )
    assert torch.cosine_similarity(exact, rough, dim=0) > 0.98


def test_a_dense_event_is_cut_to_a_wedge_and_a_small_one_left_whole(straight_tracks):
    event = straight_tracks(500, 8)
    rng = np.random.default_rng(3)

    slices = [wedge(event, 1_000, rng) for _ in range(50)]

    assert np.mean([len(each) for each in slices]) == pytest.approx(1_000, rel=0.1)
    for each in slices:
        # Straight tracks do not leave the wedge: those inside are whole.
        assert (np.unique(each.particle, return_counts=True)[1] == 8).mean() > 0.9
        assert (np.diff(np.hypot(each.r, each.z)) >= 0).all()
    assert wedge(event, len(event), rng) is event


def test_edges_weigh_more_with_momentum_up_to_a_limit():
    targets = Targets(
        min_pt_gev=0.5, full_pt_gev=1.0, partial_weight=0.25, pt_power=0.5
    )

    weights = targets.weights(np.array([0.4, 0.8, 1.0, 4.0, 100.0], dtype=np.float32))

    assert weights.tolist() == [0.0, 0.25, 0.25, 2.0, 3.0]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"min_pt_gev": 1.0, "full_pt_gev": 0.5}, "min_pt_gev <= full_pt_gev"),
        ({"partial_weight": 1.5}, "partial_weight must be in"),
        ({"pt_power": -1.0}, "pt_power >= 0"),
        ({"pt_power": 1.0, "max_weight": 0.5}, "max_weight >= 1"),
        ({"pt_power": 1.0, "full_pt_gev": 0.0}, "needs a full_pt_gev"),
    ],
)
def test_targets_that_make_no_sense_are_refused(targets, message):
    with pytest.raises(PipelineConfigError, match=message):
        Targets(**targets)


def test_an_operating_point_keeps_the_wanted_shares(small_pipeline, straight_tracks):
    events = [straight_tracks(seed=seed) for seed in range(6)]

    cut = with_operating_point(
        small_pipeline, events, OperatingPoint(neighbours=0.9, filter=0.8)
    )

    def n_true(*, is_filtered):
        graphs = [
            build_graph(event, cut, Targets(), is_filtered=is_filtered)
            for event in events
        ]
        return sum(float(graph.label.sum()) for graph in graphs)

    all_true = sum(true_edges(event).shape[1] for event in events)
    n_within, n_kept = n_true(is_filtered=False), n_true(is_filtered=True)
    assert n_within / all_true == pytest.approx(0.9, abs=0.01)
    assert n_kept / n_within == pytest.approx(0.8, abs=0.01)


def small_recipe(small_config):
    def steps(n, rate):
        return EdgeSchedule(n_steps=n, learning_rate=rate)

    return TrainingRecipe(
        pipeline=replace(small_config, graph=replace(small_config.graph, r_val=1.0)),
        n_validation=2,
        embedding=StageSchedule(n_steps=150, learning_rate=1e-2),
        filter=steps(60, 1e-2),
        gnn=steps(100, 1e-2),
        training_point=OperatingPoint(neighbours=0.997, filter=0.99),
        serving_point=OperatingPoint(neighbours=0.997, filter=0.99),
    )


def test_a_short_training_finds_straight_tracks(small_config, straight_tracks):
    events = [straight_tracks(seed=seed) for seed in range(8)]
    steps_seen = []

    trained = train(
        events,
        small_recipe(small_config),
        lambda stage, step, n_steps, loss: steps_seen.append(stage),
    )

    assert [steps_seen.count(s) for s in ("embedding", "filter", "gnn")] == [
        150,
        60,
        100,
    ]
    assert all(curve.losses[-1] < curve.losses[0] for curve in trained.curves)
    event = straight_tracks(seed=99)
    features = event.scaled(small_config.features)
    labels = trained.pipeline.labels(features)
    joined = np.mean([labels[row] == labels[col] for row, col in true_edges(event).T])
    assert joined > 0.7


def test_the_same_recipe_gives_the_same_weights(small_config, straight_tracks):
    events = [straight_tracks(seed=seed) for seed in range(4)]
    recipe = small_recipe(small_config)
    recipe = replace(
        recipe,
        embedding=replace(recipe.embedding, n_steps=20),
        filter=replace(recipe.filter, n_steps=20),
        gnn=replace(recipe.gnn, n_steps=20),
    )

    first, second = (train(events, recipe, lambda *_: None) for _ in range(2))

    for name, network in first.pipeline.networks.items():
        other = second.pipeline.networks[name].state_dict()
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, other[key], rtol=0, atol=0)


def test_too_few_events_for_validation_are_refused(small_config, straight_tracks):
    with pytest.raises(ValueError, match=r"more events than n_validation = 2, got 2"):
        train(
            [straight_tracks(), straight_tracks()],
            small_recipe(small_config),
            lambda *_: None,
        )
