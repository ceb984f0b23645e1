"""Answers: those of the model's logits, in the order of the questions; what is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fairseq.data import indexed_dataset

from intra_distill.checkpoints import load_model, read_checkpoint
from intra_distill.errors import UserError
from intra_distill.tools.scoring import predictions
from intra_distill.tools.scoring.answers import answer_f1, exact_match
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate, open_evaluator
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.results import read_result

from ...support.checkpoints import change_checkpoint

ON_CPU = Inference(cpu=True)


@pytest.fixture
def asked(of_questions, answerer, tmp_path) -> Evaluation:
    """An evaluation of a data directory that the test may change."""
    data = shutil.copytree(of_questions, tmp_path / "data")
    return Evaluation(data, answerer, tmp_path / "results", inference=ON_CPU)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def one_by_one(data: Path, checkpoint: Path, subset: str) -> list[str]:
    """The best answer to each question, from each window alone, by trying all spans.

    A passage of the tests is so short that every start and end is among the best 20.
    """
    task = open_evaluator(data, ON_CPU).task_of(checkpoint, read_checkpoint(checkpoint))
    model = load_model(checkpoint, task).eval()
    items = iter(indexed_dataset.MMapIndexedDataset(str(data / "input0" / subset)))
    answers = []
    for question in map(json.loads, lines_of(data / f"{subset}.questions")):
        words, found = question["passage"].split(), []
        context = [  # of each word in each window: the fewer words on a side, and the length
            {start + i: min(i, length - 1 - i) + 0.01 * length for i in range(length)}
            for _, start, length in question["windows"]
        ]
        for window, (offset, start, length) in enumerate(question["windows"]):
            with torch.no_grad():
                (logits,), _ = model(next(items)[None], token_head_name="span")
            for i in range(start, start + length):
                most = max(range(len(context)), key=lambda w: context[w].get(i, -1))
                found += [
                    (float(logits[offset + i - start, 0] + logits[offset + j - start, 1]), i, j)
                    for j in range(i, start + length)
                    if most == window
                ]
        _, first, last = max(found)
        answers.append(" ".join(words[first : last + 1]))
    return answers


@pytest.mark.parametrize("max_tokens", [4096, 40])
def test_every_language_is_answered_in_corpus_order(asked, answerer, max_tokens):
    results = evaluate(replace(asked, inference=Inference(max_tokens, cpu=True)))
    assert [(each.test_set.subset, each.dataset) for each in results] == [
        ("test-ar", "ar"),
        ("test-de", "de"),
    ]
    for result in results:
        subset = result.test_set.subset
        predicted = lines_of(asked.results_path / f"{subset}.pred")
        assert predicted == one_by_one(asked.data, answerer, subset)
        gold = [json.loads(line) for line in lines_of(asked.data / f"{subset}.ref")]
        for metric, function in {"answer-F1": answer_f1, "exact-match": exact_match}.items():
            scores = list(map(function, predicted, gold))
            assert result.scores[metric] == pytest.approx(100 * sum(scores) / len(scores))
        assert 50 < result.scores["answer-F1"] and result.test_set.sentences == len(gold)
        assert read_result(asked.results_path / f"{subset}.json") == result


def test_a_result(asked):
    result, _ = evaluate(asked)
    assert (result.task, result.primary_metric) == ("span_prediction", "answer-F1")
    assert result.test_set.input_sha256.keys() == {"input0/test-ar.bin", "test-ar.questions"}
    signature = "normalisation:SQuAD-v1.1-English|sentences:30|"
    assert all(each.startswith(signature) for each in result.signatures.values())


def test_questions_have_several_windows(of_questions):
    questions = map(json.loads, lines_of(of_questions / "test-ar.questions"))
    assert {len(question["windows"]) for question in questions} == {1, 2}


# What is refused


def change_question(number: int, change: Callable[[dict], None]) -> Callable[[Path], None]:
    """What changes a line of test-de.questions."""

    def spoil(data: Path) -> None:
        questions = [json.loads(line) for line in lines_of(data / "test-de.questions")]
        change(questions[number])
        lines = "".join(f"{json.dumps(each)}\n" for each in questions)
        (data / "test-de.questions").write_text(lines)

    return spoil


def cut(data: Path) -> None:
    path = data / "test-de.questions"
    path.write_bytes(path.read_bytes()[:-30])


def replace_text(file: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(data: Path) -> None:
        text = (data / file).read_text()
        assert old in text
        (data / file).write_text(text.replace(old, new, 1))

    return spoil


@pytest.mark.parametrize(
    "spoil, message",
    [
        (cut, "test-de.questions, line 9: it is not what intra-distill prepare-spans wrote"),
        (lambda data: (data / "test-de.questions").unlink(), "data has no test-de.questions"),
        (
            replace_text("test-de.questions", '{"id": "test-de-0"', '["id"'),
            "test-de.questions, line 1: it is not",
        ),
        (
            lambda data: shutil.copy(data / "test-ar.questions", data / "test-de.questions"),
            "test-de.questions has 30 questions, not 9: make the data again",
        ),
        (
            change_question(0, lambda each: each["windows"].append(each["windows"][0])),
            r"test-de has \d+ windows, not \d+: make the data again",
        ),
        (
            change_question(8, lambda each: each["windows"][-1].__setitem__(0, 90)),
            r"test-de.questions says that window \d+ has \d+ symbols, it has \d+: make the data",
        ),
        (replace_text("test-de.ref", '["w0', "w0"), "reference 1 is .*, not a JSON list of answe"),
        (lambda data: (data / "test-de.ref").write_text("[]\n" * 9), r"reference 1 is '\[\]', not"),
        (lambda data: (data / "test-de.ref").write_text("[1]\n" * 9), r"reference 1 is '\[1\]'"),
        (lambda data: (data / "test-de.ref").write_text(""), "has 0 lines for 9 questions: make"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_any_language_is_run(
    spoil, message, asked, monkeypatch
):
    monkeypatch.setattr(predictions, "predict", lambda *_: pytest.fail("predicted"))
    spoil(asked.data)
    with pytest.raises(UserError, match=message):
        evaluate(asked)
    assert not asked.results_path.exists()


@pytest.mark.parametrize("model", ["tagger", "classifier", "checkpoint"])
def test_a_model_of_another_form_is_refused(model, asked, request):
    other = request.getfixturevalue(model)
    with pytest.raises(UserError, match=f"^{other} is not a checkpoint of a model that predicts"):
        evaluate(replace(asked, checkpoint=other))
    assert not asked.results_path.exists()


def test_nan_is_no_answer(asked, answerer, tmp_path):
    def spoil(state) -> None:
        state["model"]["classification_heads.span.out_proj.bias"].fill_(float("nan"))

    path = change_checkpoint(answerer, tmp_path / "x.pt", spoil)
    with pytest.raises(UserError, match=r"output for window \d+ of test-ar is NaN or infinite"):
        evaluate(replace(asked, checkpoint=path))
    assert not list(asked.results_path.iterdir())
