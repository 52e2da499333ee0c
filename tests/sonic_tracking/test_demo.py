"""`sonic demo`: the whole job on the bundled sample."""

from producers import TrackEvents


def test_demo_leaves_tracks_and_a_picture(sonic, weights, tmp_path):
    result = sonic("demo", "--weights", weights)

    assert result.exit_code == 0, result.output
    assert len(TrackEvents(tmp_path / "tracks.root")) == 20
    assert (tmp_path / "tracks.png").read_bytes().startswith(b"\x89PNG")
    for words in ("track candidates", "efficiency", "fake rate", "duplicate rate"):
        assert words in result.stdout


def test_demo_keeps_what_is_there(refused, tmp_path):
    (tmp_path / "tracks.png").write_text("precious")

    line = refused("demo", status=1)

    assert "--force" in line
    assert (tmp_path / "tracks.png").read_text() == "precious"
