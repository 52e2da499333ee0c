"""What docs/evaluation.md says of the JSON file is so."""

import re
from dataclasses import replace
from pathlib import Path

from producers.evaluation import (
    Criteria,
    EdgeCounts,
    EvaluationCounts,
    EvaluationReport,
)

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()


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
