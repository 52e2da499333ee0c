"""The keys that docs/evaluation.md names are in the JSON file, and its code runs."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

import sonic_tracking
from producers import TrackCandidates, TrackWriter, TruthEvents, open_events
from producers.evaluation import (
    Criteria,
    EdgeCounts,
    EvaluationCounts,
    EvaluationReport,
)

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
SAMPLE = Path(sonic_tracking.__file__).parent / "sample"


def test_keys_that_it_names_are_in_the_report():
    stages = {"radius graph": EdgeCounts(), "filter": EdgeCounts()}
    report = EvaluationReport(counts=EvaluationCounts(), criteria=Criteria())

    document = replace(report, edges=stages).to_dict()

    tables = {
        "edges": document["edges"]["filter"],
        "matching": document["matching"]["perfect"],
    }
    rows = re.findall(r"^\| (.+) \| (`.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 10
    for _, keys, what in rows:
        for key in re.findall(r"`(\w+)`", keys):
            assert key in document
        for key in re.findall(r"`([a-z]\w+)`", what):
            assert key in tables[re.findall(r"\w+", keys)[0]]


def test_its_code_runs(tmp_path, monkeypatch, capsys):
    for name in ("events.root", "truth.root"):
        shutil.copy(SAMPLE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    events = (event for chunk in open_events("events.root") for event in chunk)
    with TrackWriter("tracks.root", {}) as writer:
        for event, true in zip(events, TruthEvents("truth.root"), strict=True):
            _, components = np.unique(true.particle_id, return_inverse=True)
            components[true.particle_id == 0] = -1
            writer.write(event, TrackCandidates.from_components(components, event.xyz))
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    names = {}
    exec(compile(code, "docs/evaluation.md", "exec"), names)

    assert capsys.readouterr().out.startswith("1.0000")
    assert names["h"].sum() > 1000
    titles = [axes.get_title() for axes in names["figure"].axes]
    assert len([title for title in titles if title]) == 2  # of the event that is drawn
