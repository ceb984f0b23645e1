"""Answers: those of the model's logits, in the order of the questions; what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.tools.scoring.evaluation import Evaluation, evaluate
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.results import read_result

ON_CPU = Inference(cpu=True)


@pytest.fixture
def asked(of_questions, answerer, tmp_path) -> Evaluation:
    """An evaluation of a data directory that the test may change."""
    data = shutil.copytree(of_questions, tmp_path / "data")
    return Evaluation(data, answerer, tmp_path / "results", inference=ON_CPU)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.mark.parametrize("max_tokens", [4096, 40])
def test_x(asked, max_tokens):
    results = evaluate(replace(asked, inference=Inference(max_tokens, cpu=True)))
    print(results[0].scores, lines_of(asked.results_path/"test-ar.pred")[:9], lines_of(asked.data/"test-ar.ref")[:9])
    assert results == 0
