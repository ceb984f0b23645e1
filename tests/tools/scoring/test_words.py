"""Tags: those of the model at the first piece of each word; their scores; what is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import seqeval.metrics
import torch
from fairseq.data import Dictionary, indexed_dataset

from intra_distill.checkpoints import load_model, read_checkpoint
from intra_distill.errors import UserError
from intra_distill.tools.scoring import predictions
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate, open_evaluator
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.results import read_result

from ...support.labelled import TAGS
from ...support.sentences import write_binary

ON_CPU = Inference(cpu=True)


@pytest.fixture
def asked(of_words, tagger, tmp_path) -> Evaluation:
    """An evaluation of a data directory that the test may change."""
    data = shutil.copytree(of_words, tmp_path / "data")
    return Evaluation(data, tagger, tmp_path / "results", inference=ON_CPU)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def one_by_one(data: Path, checkpoint: Path, subset: str) -> list[str]:
    """The tags of each sentence alone, at the symbols that have a label."""
    evaluator = open_evaluator(data, ON_CPU)
    task = evaluator.task_of(checkpoint, read_checkpoint(checkpoint))
    model = load_model(checkpoint, task).eval()
    inputs, labels = (
        indexed_dataset.MMapIndexedDataset(str(data / side / subset))
        for side in ("input0", "label")
    )
    lines = []
    for tokens, gold in zip(inputs, labels, strict=True):
        with torch.no_grad():
            (logits,), _ = model(tokens[None], token_head_name="tags")
        lines.append(" ".join(TAGS[i] for i in logits[gold != 1].argmax(dim=1)))
    return lines


@pytest.mark.parametrize("max_tokens", [4096, 40])
def test_every_language_is_tagged_in_corpus_order(asked, tagger, max_tokens):
    results = evaluate(replace(asked, inference=Inference(max_tokens, cpu=True)))
    assert [result.test_set.subset for result in results] == ["test-ar", "test-de"]
    assert [result.dataset for result in results] == ["ar", "de"]
    for result in results:
        subset = result.test_set.subset
        predicted = lines_of(asked.results_path / f"{subset}.pred")
        assert predicted == one_by_one(asked.data, tagger, subset)
        gold = lines_of(asked.data / f"{subset}.ref")
        expected = seqeval.metrics.f1_score(
            [g.split() for g in gold], [p.split() for p in predicted]
        )
        assert result.scores == {"entity-F1": pytest.approx(100 * expected)}
        assert 20 < result.scores["entity-F1"] < 100
        assert read_result(asked.results_path / f"{subset}.json") == result


def test_a_result(asked):
    result, _ = evaluate(asked)
    content = json.loads((asked.results_path / "test-ar.json").read_text())
    assert (result.task, result.primary_metric) == ("tagging", "entity-F1")
    assert content["test_set"]["classes"] == list(TAGS)
    assert content["test_set"]["input_sha256"].keys() == {"input0/test-ar.bin", "label/test-ar.bin"}
    assert result.signatures["entity-F1"].startswith(
        "classes:O,B-LOC,B-PER,I-LOC,I-PER|entities:seqeval-default|sentences:30|"
    )
    assert (content["search"], content["tokenizer"], content["test_set"]["text"]) == (None,) * 3


def test_a_subset_of_ones_choice(asked):
    (result,) = evaluate(replace(asked, subsets=("valid",)))
    assert (result.dataset, result.test_set.sentences) == ("en", 30)


# What is refused


@pytest.fixture
def no_run(monkeypatch) -> None:
    """Fail where a model is run."""
    monkeypatch.setattr(predictions, "predict", lambda *_: pytest.fail("predicted"))


def other_line(file: str, line: str) -> Callable[[Path], None]:
    """What replaces the last line of a file."""

    def spoil(data: Path) -> None:
        lines = [*lines_of(data / file)[:-1], line]
        (data / file).write_text("".join(f"{each}\n" for each in lines))

    return spoil


def without_test_sets(data: Path) -> None:
    report = json.loads((data / "labels.json").read_text())
    splits = {name: report["splits"][name] for name in ("train", "valid")}
    (data / "labels.json").write_text(json.dumps({**report, "splits": splits}))


def other_tags(data: Path) -> None:
    report = json.loads((data / "labels.json").read_text())
    (data / "labels.json").write_text(json.dumps({**report, "classes": [*TAGS, "B-ORG"]}))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (
            other_line("test-de.ref", "O " * 30),
            "line 9 of test-de.ref has 30 tags for [1-8] words: make the data again",
        ),
        (other_line("test-de.ref", ""), r"line 9 of test-de.ref has 0 tags for [1-8] words"),
        (other_line("test-de.ref", "O B-ORG"), "in reference 9, tag 2 is 'B-ORG', none of the cla"),
        (lambda data: (data / "test-de.ref").write_text("O\n"), "test-de.ref has 1 lines for 9 se"),
        (lambda data: (data / "label/test-de.bin").unlink(), "data has no label/test-de.bin"),
        (lambda data: (data / "input0/test-de.bin").unlink(), "data has no input0/test-de.bin"),
        (other_tags, "its labels.json has other tags than label/dict.txt: make the data again"),
        (without_test_sets, "has no test sets, only train, valid: choose one by --gen-subset"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_any_language_is_run(spoil, message, asked, no_run):
    spoil(asked.data)
    with pytest.raises((UserError, SystemExit), match=message):
        evaluate(asked)
    assert not asked.results_path.exists()


def test_a_sentence_longer_than_the_model_takes_is_refused(asked, no_run):
    dictionary, tags = (
        Dictionary.load(str(asked.data / side / "dict.txt")) for side in ("input0", "label")
    )
    lines = [["w1"] * (40 if number == 2 else 2) for number in range(9)]
    labels = [["O"] * len(line) for line in lines]
    write_binary(asked.data / "input0" / "test-de", lines, dictionary)
    write_binary(
        asked.data / "label" / "test-de", [[*each, "<pad>"] for each in labels], tags, end=False
    )
    with pytest.raises(UserError, match="sentence 3 of test-de has 41 tokens, the model takes 32"):
        evaluate(asked)


@pytest.mark.parametrize("model", ["answerer", "classifier", "checkpoint"])
def test_a_model_of_another_form_is_refused(model, asked, no_run, request):
    other = request.getfixturevalue(model)
    with pytest.raises(UserError, match=f"^{other} is not a checkpoint of a model that "):
        evaluate(replace(asked, checkpoint=other))
    assert not asked.results_path.exists()
