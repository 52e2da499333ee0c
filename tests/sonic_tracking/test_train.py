"""`sonic train`: weights that load, and say how they were made."""

import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w
import uproot

from exatrkx_pipeline import bundled_weights, load_weights
from exatrkx_pipeline.training import bundled_recipes, read_recipe
from exatrkx_pipeline.training.recipe import StageSchedule, TrainingRecipe
from sonic_base import config_to_mapping

pytest.importorskip("acts", reason="pyacts is not installed")


@pytest.fixture(scope="module")
def files(tmp_path_factory, tiny_config):
    """Five small events, and a recipe of few steps with two of them for validation."""
    from producers.simulation import GunConfig
    from sonic_tracking import simulate

    folder = tmp_path_factory.mktemp("training")
    gun = GunConfig(n_particles=20)
    simulate(
        folder / "events.root",
        folder / "truth.root",
        n_events=5,
        seed=3,
        generator="gun",
        gun=gun,
    )
    steps = StageSchedule(n_steps=10, learning_rate=1e-3)
    recipe = TrainingRecipe(
        pipeline=tiny_config, n_validation=2, embedding=steps, filter=steps, gnn=steps
    )
    (folder / "recipe.toml").write_text(tomli_w.dumps(config_to_mapping(recipe)))
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
    assert training["samples"] == [
        {
            "name": "events",
            "events": ["events.root"],
            "truth": ["truth.root"],
            "n_events": 5,
            "n_training": 3,
            "n_validation": 2,
        }
    ]
    assert list(training["stages"]) == ["embedding", "filter", "gnn"]
    learned = training["stages"]["gnn"]
    assert len(learned["losses"]) == len(learned["validation_losses"]) == 10
    assert document["scores"]["n_events"] == 2
    assert pipeline.input_range.n_events == 3  # those that were trained on
    assert {"efficiency", "fake_rate", "edges"} <= document["scores"].keys()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_same_recipe_gives_the_same_weights(sonic, job, tmp_path):
    for name in ("a", "b"):
        sonic(*job, "-o", name)

    first, second = (load_weights(tmp_path / name).weights_id for name in ("a", "b"))
    assert first == second


@pytest.fixture(scope="module")
def renamed(files, tmp_path_factory):
    """The same events and truth in one tree of other names, and their columns file."""
    folder = tmp_path_factory.mktemp("renamed")
    columns = {}
    for name in ("events.root", "truth.root"):
        with uproot.open(files / name) as file:
            for tree in file.keys(cycle=False):
                arrays = file[tree].arrays()
                columns |= {f"my_{key}": arrays[key] for key in arrays.fields}
    columns = {k: v for k, v in columns.items() if not k.startswith("my_n")}
    with uproot.recreate(folder / "own.root") as file:
        file.mktree("T", {k: v.type.content for k, v in columns.items()})
        file["T"].extend(columns)
    numbers = ("vx", "vy", "vz", "px", "py", "pz", "q")
    tables = {
        "columns": {"event": "my_event", **{a: f"my_sp_{a}" for a in "xyz"}},
        "truth": {
            "event": "my_event",
            "point_particle": "my_sp_particle_id",
            "id": "my_part_particle_id",
            **{name: f"my_part_{name}" for name in numbers},
        },
    }
    (folder / "columns.toml").write_text(tomli_w.dumps(tables))
    return folder


def test_files_of_other_names_give_the_same_weights(
    sonic, job, files, renamed, tmp_path
):
    own = renamed / "own.root"

    sonic(*job, "-o", "a")
    result = sonic(
        *("train", "--events", own, "--truth", own, "-o", "b"),
        *("--recipe", files / "recipe.toml", "--columns", renamed / "columns.toml"),
    )

    assert result.exit_code == 0, result.output
    first, second = (load_weights(tmp_path / name).weights_id for name in ("a", "b"))
    assert first == second
    document = tomllib.loads((tmp_path / "b" / "config.toml").read_text())
    assert document["training"]["truth"]["id"] == "my_part_particle_id"


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
    assert "got 5" in line


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


def staged_recipe(files, **keys):
    """A recipe of two samples, both of the same files, with additional keys."""
    recipe = tomllib.loads((files / "recipe.toml").read_text())
    paths = {kind: str(files / f"{kind}.root") for kind in ("events", "truth")}
    recipe["samples"] = [
        {"name": "few", **paths, "n_training": 2, "n_validation": 1},
        {"name": "more", **paths},
    ]
    recipe["embedding"]["samples"] = ["few"]
    recipe["gnn"]["samples"] = ["few", "more"]
    return tomli_w.dumps(recipe | keys)


@pytest.fixture
def staged(files, tmp_path):
    """Write such a recipe."""

    def write(**keys):
        (tmp_path / "staged.toml").write_text(staged_recipe(files, **keys))
        return "staged.toml"

    return write


def test_each_stage_takes_the_samples_that_it_names(sonic, staged, tmp_path):
    result = sonic("train", "--recipe", staged(), "-o", "weights")

    assert result.exit_code == 0, result.output
    document = tomllib.loads((tmp_path / "weights" / "config.toml").read_text())
    samples = document["training"]["samples"]
    assert [(s["n_training"], s["n_validation"]) for s in samples] == [(2, 1), (3, 2)]
    assert document["training"]["recipe"]["embedding"]["samples"] == ["few"]
    assert document["scores"]["n_events"] == 3
    assert document["scores"]["samples"]["more"]["n_events"] == 2
    assert "efficiency, few" in result.stdout


def test_fine_tuning_keeps_the_stages_that_are_not_trained(
    sonic, staged, weights, tmp_path
):
    recipe = staged(stages=["gnn"], keep_cuts=True, start_from=str(weights))

    result = sonic("train", "--recipe", recipe, "-o", "tuned")

    assert result.exit_code == 0, result.output
    before, after = load_weights(weights), load_weights(tmp_path / "tuned")
    assert after.config == before.config
    for part, is_same in {"embedding": True, "edge_filter": True, "gnn": False}.items():
        ours, theirs = (each.networks[part].state_dict() for each in (before, after))
        assert all(ours[name].equal(theirs[name]) for name in ours) is is_same
    training = tomllib.loads((tmp_path / "tuned" / "config.toml").read_text())
    assert training["training"]["start_from"] == before.weights_id


def test_weights_to_start_from_can_be_named_on_the_command_line(
    sonic, refused, staged, weights
):
    recipe = staged(stages=["gnn"])

    line = refused("train", "--recipe", recipe, "-o", "tuned", status=2)
    result = sonic("train", "--recipe", recipe, "-o", "tuned", "--from", weights)

    assert "there are no weights to take it from" in line
    assert result.exit_code == 0, result.output


# Ends itself the hard way, just before the filter's second checkpoint is in place.
KILLED = """
import os, signal, sys

n_checkpoints = 0

def kill(event, arguments):
    global n_checkpoints
    if event == "os.rename" and str(arguments[1]).endswith("filter.safetensors"):
        n_checkpoints += 1
        if n_checkpoints == 2:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
sys.argv[0] = "sonic"
from sonic_tracking.main import app
app()
"""


KILLED_JOB = (
    *("train", "--recipe", "staged.toml", "-o", "weights"),
    *("--threads", "1", "--checkpoint-every", "4"),
)


@pytest.fixture(scope="module")
def left_behind(files, tmp_path_factory):
    """The files of a training that was killed."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "staged.toml").write_text(staged_recipe(files))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *KILLED_JOB], cwd=folder, check=False
    )
    assert done.returncode == -signal.SIGKILL
    return folder


@pytest.fixture
def killed(left_behind, tmp_path):
    """The arguments of that training, with its files copied into this folder."""
    shutil.copytree(left_behind, tmp_path, dirs_exist_ok=True)
    assert not (tmp_path / "weights").exists()
    return KILLED_JOB


def test_a_killed_training_resumes_to_the_same_weights(sonic, killed, tmp_path):
    resumed = sonic(*killed, "--resume")
    whole = sonic("train", "--recipe", "staged.toml", "-o", "whole", "--threads", 1)

    assert resumed.exit_code == whole.exit_code == 0, resumed.output
    first, second = (load_weights(tmp_path / name) for name in ("weights", "whole"))
    assert first.weights_id == second.weights_id
    assert not (tmp_path / "weights.partial").exists()


def test_what_a_killed_training_left_is_not_thrown_away_unasked(
    sonic, refused, killed, tmp_path
):
    line = refused(*killed, status=1)

    assert "weights.partial: left by an interrupted job; --resume" in line
    assert sonic(*killed, "--force").exit_code == 0
    assert not (tmp_path / "weights.partial").exists()


def test_another_training_does_not_go_on_from_it(refused, killed):
    line = refused(*killed, "--resume", "--seed", 5, status=2)

    assert "left by another training" in line
    assert "seed was 1, is 5" in line


def test_other_threads_go_on_with_a_warning(sonic, killed):
    result = sonic(*killed, "--resume", "--threads", 2)

    assert result.exit_code == 0, result.output
    assert "began with 1 threads and goes on with 2" in result.stderr


def test_resume_begins_where_there_is_nothing_to_go_on_from(sonic, job):
    result = sonic(*job, "-o", "weights", "--resume")

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({"nmae": "x"}, "unknown key 'nmae'"),
        ({"name": "x", "events": "e.root"}, "truth"),
        ({"name": "", "events": "e.root", "truth": "t.root"}, "needs a name"),
        (
            {"name": "x", "events": "e.root", "truth": "t.root", "n_training": 0},
            "n_training must be at least 1, got 0",
        ),
    ],
    ids=["unknown key", "no truth", "no name", "none to train on"],
)
def test_samples_with_a_mistake_are_refused(refused, staged, sample, words):
    recipe = staged(samples=[sample])

    assert words in refused("train", "--recipe", recipe, "-o", "w", status=2)


def test_file_of_a_sample_that_is_not_there_is_refused(refused, staged):
    paths = {"events": "gone.root", "truth": "t.root"}
    recipe = staged(samples=[{"name": name, **paths} for name in ("few", "more")])

    line = refused("train", "--recipe", recipe, "-o", "weights", status=1)

    assert "gone.root: no such file" in line


def test_samples_come_from_one_place(refused, staged, job):
    both = refused(*job, "--recipe", staged(), "-o", "weights", status=2)
    none = refused("train", "-o", "weights", status=2)
    half = refused("train", "--events", "e.root", "-o", "weights", status=2)

    assert "the recipe has [[samples]]" in both
    assert "no events: give events and truth" in none
    assert "come together" in half


def test_a_stage_with_a_sample_that_is_not_there_is_refused(refused, staged):
    recipe = staged(validation_samples=["moer"])

    line = refused("train", "--recipe", recipe, "-o", "weights", status=2)

    assert "validation_samples: no sample 'moer', there are few, more" in line


def test_two_samples_of_one_name_are_refused(refused, staged):
    sample = {"name": "x", "events": "e.root", "truth": "t.root"}

    line = refused(
        "train", "--recipe", staged(samples=[sample] * 2), "-o", "w", status=2
    )

    assert "'x' is used twice" in line


@pytest.mark.parametrize("name", bundled_recipes())
def test_recipes_of_the_package_are_those_of_its_weights(name):
    weights = name.removesuffix("_gnn")  # which goes on where the other has ended
    start = None if weights == name else Path(weights)

    planned = read_recipe(Path(name), events=(), truth=(), start_from=start)

    made = load_weights(bundled_weights(weights)).config
    wanted = planned.recipe.pipeline
    for part in ("features", "embedding", "gnn"):
        assert getattr(made, part) == getattr(wanted, part)
    sizes = (made.filter.hidden, made.filter.n_layers)
    assert sizes == (wanted.filter.hidden, wanted.filter.n_layers)
    named = {sample.name for sample in planned.samples}
    for stage in planned.recipe.stages:
        assert set(planned.recipe.schedule(stage).samples) <= named


def test_a_recipe_that_is_not_there_names_those_of_the_package(refused):
    line = refused("train", "--recipe", "generic_pu1", "-o", "weights", status=2)

    assert "generic_pu1: cannot read" in line
    assert "generic_pu0" in line
