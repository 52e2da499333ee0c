"""`sonic repository`: written whole, and never over another one by accident."""

from exatrkx_pipeline import load_weights


def test_repository_of_the_bundled_weights_names_them(sonic, tmp_path):
    result = sonic("repository", "-o", "models", "--models", "exatrkx,exatrkx_batch")

    assert result.exit_code == 0, result.output
    written = {path.name for path in (tmp_path / "models").iterdir()}
    assert written == {"exatrkx", "exatrkx_batch"}
    config = (tmp_path / "models" / "exatrkx" / "config.pbtxt").read_text()
    assert '"bundled"' in config
    assert not list(tmp_path.rglob("*.safetensors"))


def test_own_weights_travel_with_the_models(sonic, weights, tmp_path):
    result = sonic(
        "repository", "-o", "models", "--weights", weights, "--models", "exatrkx",
        "--instances", 3, "--device", "gpu",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    model = tmp_path / "models" / "exatrkx"
    copied = load_weights(model / "1" / "weights")
    assert copied.weights_id == load_weights(weights).weights_id
    config = (model / "config.pbtxt").read_text()
    assert "count: 3" in config
    assert "kind: KIND_GPU" in config


def test_models_that_are_there_are_replaced_only_by_force(sonic, refused, tmp_path):
    sonic("repository", "-o", "models", "--models", "exatrkx")
    config = tmp_path / "models" / "exatrkx" / "config.pbtxt"
    config.write_text("mine")

    line = refused("repository", "-o", "models", status=1)

    assert "has exatrkx already; --force replaces" in line
    assert config.read_text() == "mine"
    assert sonic("repository", "-o", "models", "--force").exit_code == 0
    assert config.read_text() != "mine"


def test_unknown_model_is_a_wrong_setting(refused):
    line = refused("repository", "-o", "models", "--models", "exatrk", status=2)

    assert "got exatrk" in line


def test_folder_without_a_parent_is_refused(refused):
    assert "does not exist" in refused("repository", "-o", "no/models", status=1)
