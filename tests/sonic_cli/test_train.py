"""`sonic train`: weights that load, and say how they were made."""

import tomllib

import pytest
import tomli_w

from exatrkx_pipeline import load_weights
from exatrkx_pipeline.config import config_to_dict
from exatrkx_pipeline.training.recipe import TrainingRecipe
from exatrkx_pipeline.training.schedule import StageSchedule

pytest.importorskip("acts", reason="pyacts is not installed")


@pytest.fixture(scope="module")
def files(tmp_path_factory, tiny_config):
    """Five small events, and a recipe of few steps with two of them for validation."""
    from producers.simulation import GunConfig, SimulationConfig
    from sonic_cli.jobs.simulation import run_simulation

    folder = tmp_path_factory.mktemp("training")
    gun = GunConfig(n_particles=20)
    config = SimulationConfig(n_events=5, seed=3, generator="gun", gun=gun)
    run_simulation(config, folder / "events.root", folder / "truth.root")
    steps = StageSchedule(n_steps=10, learning_rate=1e-3)
    recipe = TrainingRecipe(
        pipeline=tiny_config, n_validation=2, embedding=steps, filter=steps, gnn=steps
    )
    (folder / "recipe.toml").write_text(tomli_w.dumps(config_to_dict(recipe)))
    return folder


@pytest.fixture
def job(files):
    return (
        *("train", "--events", files / "events.root", "--truth", files / "truth.root"),
        *("--recipe", files / "recipe.toml"),
    )


def test_weights_say_how_they_were_made(sonic, job, tmp_path):
    result = sonic(*job, "-o", "weights", "--seed", 7, "--plot", "curves.png")

    assert result.exit_code == 0, result.output
    pipeline = load_weights(tmp_path / "weights")
    document = tomllib.loads((tmp_path / "weights" / "config.toml").read_text())
    assert document["weights_id"] == pipeline.weights_id
    training = document["training"]
    assert training["seed"] == training["recipe"]["seed"] == 7
    assert training["n_events"] == 5
    assert training["event_files"] == ["events.root"]
    assert list(training["stages"]) == ["embedding", "filter", "gnn"]
    assert training["stages"]["gnn"]["losses"]
    assert document["scores"]["n_events"] == 2
    assert {"efficiency", "fake_rate", "edges"} <= document["scores"].keys()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_same_recipe_gives_the_same_weights(sonic, job, tmp_path):
    for name in ("a", "b"):
        sonic(*job, "-o", name)

    first, second = (load_weights(tmp_path / name).weights_id for name in ("a", "b"))
    assert first == second


def test_weights_find_tracks_at_once(sonic, job, files):
    sonic(*job, "-o", "weights")

    result = sonic(
        "track", files / "events.root", "-o", "tracks.root", "--weights", "weights"
    )

    assert result.exit_code == 0, result.output


def test_weights_that_exist_are_kept(refused, job, weights):
    content = (weights / "config.toml").read_bytes()

    line = refused(*job, "-o", weights, status=1)

    assert "--force" in line
    assert (weights / "config.toml").read_bytes() == content


def test_too_few_events_are_refused(refused, job, files, tmp_path_factory):
    recipe = tomllib.loads((files / "recipe.toml").read_text())
    greedy = tmp_path_factory.mktemp("greedy") / "recipe.toml"
    greedy.write_text(tomli_w.dumps({**recipe, "n_validation": 5}))

    line = refused(*job, "-o", "weights", "--recipe", greedy, status=2)

    assert "more than 5 events" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [("seeed = 1", "seeed"), ("seed = ", "not a TOML file")],
    ids=["unknown key", "no TOML"],
)
def test_recipe_with_a_mistake_is_refused(refused, job, tmp_path, text, words):
    (tmp_path / "bad.toml").write_text(text)

    assert words in refused(*job, "-o", "weights", "--recipe", "bad.toml", status=2)


def test_truth_of_fewer_events_is_refused(refused, job, sample, files):
    line = refused(
        *("train", "--events", sample / "events.root"),
        *("--truth", files / "truth.root", "--recipe", files / "recipe.toml"),
        *("-o", "weights"),
        status=1,
    )

    assert "truth of 5 events, there are 20" in line
