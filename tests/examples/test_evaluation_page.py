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

    for _, keys, what in re.findall(r"^\| (.+) \| (`.+`) \| (.+) \|$", PAGE, re.M):
        for key in re.findall(r"`(\w+)`", keys):
            assert key in document
        if keys == "`edges`":
            for key in re.findall(r"`(\w+)`", what):
                assert key in document["edges"]["filter"]
