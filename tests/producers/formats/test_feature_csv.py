import numpy as np
import pytest

from producers import FeatureScale, node_features, open_events

SCALE = FeatureScale(r_mm=1000.0, phi_rad=np.pi, z_mm=1000.0)


def test_a_feature_csv_comes_back_in_millimetres(tmp_path):
    path = tmp_path / "evt_12.csv"
    path.write_text("0.032,0.5,-0.1\n0.072,-1.0,0.0\n")

    (chunk,) = open_events(path, csv_scale=SCALE)

    (event,) = chunk
    assert (event.event_id, event.entry, event.source) == (12, 0, path)
    expected = [[0.0, 32.0, -100.0], [-72.0, 0.0, 0.0]]
    np.testing.assert_allclose(event.xyz, expected, atol=1e-4)


def test_events_without_a_number_in_their_name_are_numbered_by_position(tmp_path):
    paths = [tmp_path / name for name in ("first.csv", "second.csv")]
    for path in paths:
        path.write_text("0.1,0.2,0.3\n")

    source = open_events(paths, csv_scale=SCALE)

    assert [chunk.event_ids.tolist() for chunk in source] == [[0], [1]]


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_csv_is_an_empty_event(tmp_path, text):
    path = tmp_path / "evt_0.csv"
    path.write_text(text)

    (chunk,) = open_events(path, csv_scale=SCALE)

    assert chunk.xyz.shape == (0, 3)
    assert len(chunk) == 1


def test_features_of_the_throughput_events_survive_the_way_there_and_back(shared_data):
    path = shared_data / "lrt" / "evt_3.csv"

    (chunk,) = open_events(path, csv_scale=SCALE)

    expected = np.loadtxt(path, delimiter=",")
    # float32 holds x and y to 6e-8, and the angle loses no more than that
    np.testing.assert_allclose(node_features(chunk.xyz, SCALE), expected, atol=3e-7)


def test_all_throughput_events_are_read(shared_data):
    paths = sorted((shared_data / "lrt").glob("*.csv"))

    source = open_events(paths, csv_scale=SCALE, max_events=49)

    sizes = [len(chunk.xyz) for chunk in source]
    expected = [len(path.read_text().splitlines()) for path in paths[:49]]
    assert sizes == expected
