"""Predictions: those of the model, in corpus order; their scores; what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import sklearn.metrics
import torch
from fairseq.data import Dictionary, indexed_dataset
from scipy import stats

from intra_distill.checkpoints import load_model, read_checkpoint
from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.scoring import predictions
from intra_distill.tools.scoring.evaluation import Evaluation, evaluate, open_evaluator
from intra_distill.tools.scoring.evaluator import Inference
from intra_distill.tools.scoring.results import read_result
from intra_distill.tools.scoring.search import Search

from ...support.checkpoints import change_checkpoint
from ...support.labelled import CLASSES, make_labelled, train_predictor
from ...support.sentences import write_binary

PREDICTED = Inference(cpu=True)


@pytest.fixture
def asked(of_classes, classifier, tmp_path) -> Evaluation:
    """An evaluation of a data directory that the test may change."""
    data = shutil.copytree(of_classes, tmp_path / "data")
    return Evaluation(data, classifier, tmp_path / "results", inference=PREDICTED)


@pytest.fixture
def no_run(monkeypatch) -> None:
    """Fail where a model is run."""
    monkeypatch.setattr(predictions, "predict", lambda *_: pytest.fail("predicted"))


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def one_by_one(data: Path, checkpoint: Path, subset: str) -> torch.Tensor:
    """The outputs for each pair alone, as [CLS] a [SEP] b [SEP], (N, C)."""
    evaluator = open_evaluator(data, PREDICTED)
    model = load_model(checkpoint, evaluator.task_of(checkpoint, read_checkpoint(checkpoint)))
    sides = (
        indexed_dataset.MMapIndexedDataset(str(data / side / subset))
        for side in ("input0", "input1")
    )
    model.eval()
    head = "sentence_classification_head"
    with torch.no_grad():
        return torch.cat(
            [
                model(torch.cat([torch.tensor([0]), *pair])[None], classification_head_name=head)[0]
                for pair in zip(*sides, strict=True)
            ]
        )


@pytest.mark.parametrize("max_tokens", [4096, 30])
def test_classes_are_predicted_in_corpus_order(asked, classifier, max_tokens):
    evaluate(replace(asked, inference=Inference(max_tokens, cpu=True)))
    expected = one_by_one(asked.data, classifier, "valid").argmax(dim=1)
    assert lines_of(asked.results_path / "valid.pred") == [CLASSES[i] for i in expected]
    assert 5 < expected.sum() < 25


def test_numbers_are_written_in_full(of_numbers, regressor, tmp_path):
    (result,) = evaluate(Evaluation(of_numbers, regressor, tmp_path, inference=PREDICTED))
    written = [float(line) for line in lines_of(tmp_path / "valid.pred")]
    expected = one_by_one(of_numbers, regressor, "valid").squeeze(1)
    torch.testing.assert_close(torch.tensor(written), expected, rtol=1e-5, atol=1e-6)
    assert len(set(written)) == len(written)
    gold = [float(line) for line in lines_of(of_numbers / "valid.ref")]
    assert result.scores == {
        "Pearson": pytest.approx(100 * stats.pearsonr(written, gold)[0], abs=1e-6),
        "Spearman": pytest.approx(100 * stats.spearmanr(written, gold)[0], abs=1e-6),
    }
    assert result.primary_metric == "Pearson" and result.scores["Pearson"] > 50


def test_a_result(asked, classifier):
    (result,) = evaluate(asked)
    assert read_result(asked.results_path / "valid.json") == result
    gold, predicted = (
        lines_of(path) for path in (asked.data / "valid.ref", asked.results_path / "valid.pred")
    )
    f1 = sklearn.metrics.f1_score(gold, predicted, pos_label="yes")
    accuracy = sklearn.metrics.accuracy_score(gold, predicted)
    assert result.scores == pytest.approx({"F1": 100 * f1, "accuracy": 100 * accuracy})
    content = json.loads((asked.results_path / "valid.json").read_text())
    assert content["test_set"].pop("input_sha256").keys() == {
        "input0/valid.bin",
        "input1/valid.bin",
    }
    assert content["test_set"].pop("references_sha256")
    assert content.pop("test_set") == {
        "data": str(asked.data),
        "subset": "valid",
        "dataset": "mrpc",
        "sentences": 30,
        "references": "valid.ref",
        "text": None,
        "classes": ["no", "yes"],
    }
    assert content["checkpoint"]["path"] == str(classifier)
    assert (content["checkpoint"]["updates"], content["checkpoint"]["num_passes"]) == (20, 1)
    assert content["versions"].keys() == {
        "python",
        "torch",
        "fairseq",
        "sacrebleu",
        "intra_distill",
    }
    kept = ("system", "task", "primary_metric", "tokenizer", "significance", "output", "search")
    assert {name: content[name] for name in kept} == {
        "system": "plain",
        "task": "sentence_prediction",
        "primary_metric": "F1",
        "tokenizer": None,
        "significance": None,
        "output": "valid.pred",
        "search": None,
    }


def test_several_subsets_and_one_without_labels(asked, classifier, capsys):
    arguments = ["evaluate", str(asked.data), "--path", str(classifier), "--cpu"]
    arguments += ["--results-path", str(asked.results_path), "--gen-subset"]
    main([*arguments, "valid,test,valid1", "--metrics", "accuracy"])
    written = {path.name for path in asked.results_path.iterdir()}
    scored = {
        f"{subset}.{end}" for subset in ("valid", "valid1") for end in ("pred", "ref", "json")
    }
    assert written == {*scored, "test.pred"}
    assert lines_of(asked.results_path / "valid1.pred") == lines_of(
        asked.results_path / "valid.pred"
    )
    assert len(lines_of(asked.results_path / "test.pred")) == 30
    valid, score, unscored, valid1, _ = capsys.readouterr().out.splitlines()
    path = asked.results_path / "test.pred"
    assert unscored == f"{path}: test has no labels, so there are no scores"
    assert valid == "plain, valid mrpc, 30 sentences" and score.startswith("accuracy = ")
    assert valid1 == "plain, valid1 mrpc-again, 30 sentences"


def test_what_is_done_is_not_done_again_but_compared(asked, tmp_path, capsys, monkeypatch):
    evaluate(replace(asked, subsets=("valid", "valid1")))
    other = replace(asked, results_path=tmp_path / "other", subsets=("valid", "valid1"))
    shutil.copytree(asked.results_path, other.results_path)
    monkeypatch.setattr(predictions, "predict", lambda *_: pytest.fail("predicted"))
    results = evaluate(replace(other, baseline=asked.results_path, name="a"))
    assert "valid1.json is of this checkpoint and these settings: not predicted again" in (
        capsys.readouterr().out
    )
    for result, subset in zip(results, ("valid", "valid1"), strict=True):
        assert result.significance["baseline"] == str(asked.results_path / f"{subset}.json")
        assert [test["p_value"] for test in result.significance["tests"].values()] == [1, 1]
        assert read_result(other.results_path / f"{subset}.json") == result
    (again,) = evaluate(replace(asked, metrics=("MCC",)))
    assert list(again.scores) == ["MCC"]
    file = asked.results_path / "valid.json"
    with pytest.raises(UserError, match="is of one of the subsets valid, valid1: give the folder"):
        evaluate(replace(other, baseline=file))


@pytest.mark.parametrize("file", ["input0/valid.bin", "valid.ref", "checkpoint"])
def test_what_changed_is_done_again(file, asked, classifier, tmp_path, monkeypatch):
    evaluate(asked)
    if file == "checkpoint":
        other = change_checkpoint(
            classifier, tmp_path / "plain" / "x.pt", lambda s: s.update(new=0)
        )
        asked = replace(asked, checkpoint=other)
    elif file == "valid.ref":
        (asked.data / file).write_text("no\n" * 30)
    else:
        for end in ("bin", "idx"):
            path = asked.data / "input0" / f"valid.{end}"
            shutil.copy(path.with_name(f"test.{end}"), path)
    ran = []
    original = predictions.predict
    monkeypatch.setattr(predictions, "predict", lambda *args: ran.append(1) or original(*args))
    evaluate(asked)
    assert ran


def test_a_model_of_fairseqs_own_task_and_criterion(of_classes, tmp_path):
    path = train_predictor(
        of_classes,
        tmp_path / "roberta",
        2,
        *("--arch", "roberta", "--encoder-layers", "1", "--classification-head-name", "mine"),
        system=["--task", "sentence_prediction", "--criterion", "sentence_prediction"],
    )
    (result,) = evaluate(Evaluation(of_classes, path, tmp_path / "results", inference=PREDICTED))
    assert result.system == "roberta" and len(lines_of(tmp_path / "results/valid.pred")) == 30


# What is refused


def refused(asked: Evaluation, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate(asked)
    assert not asked.results_path.exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"search": Search()}, "has labelled text, which no search translates: leave out"),
        (
            {"tokenizer": "char"},
            "leave out --beam, --lenpen, --max-len-a, --max-len-b, --nbest and",
        ),
        (
            {"metrics": ("BLEU",)},
            "--metrics BLEU: BLEU is a metric of translations, not of classes",
        ),
        ({"metrics": ("Pearson",)}, "choose from accuracy, F1, MCC"),
        ({"subsets": ("valid", "test3")}, "has no subset 'test3', only train, valid, test, valid1"),
        ({"subsets": ("train",)}, "has no train.ref, the labels of train as text"),
        ({"inference": Inference(0)}, "--max-tokens must be at least 1"),
        ({"inference": Inference(5)}, r"sentence \d+ of valid has \d+ tokens, more than --max-tok"),
        ({"baseline": Path("none")}, "none: No such file"),
        ({"name": " "}, "--name is blank"),
    ],
)
def test_options_that_do_not_fit_are_refused(changes, message, asked, no_run):
    refused(replace(asked, **changes), message)


def spoil_report(data: Path, **changes) -> None:
    path = data / "labels.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda data: spoil_report(data, metrics=["acc"]), "names 'acc', which is no metric"),
        (lambda data: spoil_report(data, metrics=["Pearson"]), "is a metric of numbers, not of cl"),
        (lambda data: (data / "labels.json").write_text("{"), "is not what intra-distill glue"),
        (
            lambda data: (data / "valid.ref").write_text("no\n" * 29),
            "valid.ref has 29 lines for 30 sentences",
        ),
        (
            lambda data: (data / "valid.ref").write_text("no\n" * 29 + "x\n"),
            "reference 30 is 'x', none of the classes no, yes",
        ),
        (lambda data: shutil.rmtree(data / "input1"), "has no input1/dict.txt"),
        (
            lambda data: (data / "input0/dict.txt").write_text("w0 1\n"),
            "checkpoint_last.pt is of other data: it knows 17 types, .*input0/dict.txt makes 6",
        ),
        (
            lambda data: (data / "label/dict.txt").write_text("yes 1\nno 1\n"),
            "is of other data: .*label/dict.txt is not .*/label/dict.txt",
        ),
    ],
)
def test_data_that_does_not_fit_is_refused(spoil, message, asked, no_run):
    spoil(asked.data)
    refused(asked, message)


def test_a_model_of_something_else_is_refused(
    asked, of_numbers, regressor, checkpoint, prepared, classifier, no_run, tmp_path
):
    refused(replace(asked, checkpoint=regressor), "it predicts numbers, .*/data has 2 classes")
    refused(replace(asked, data=of_numbers), "predicts 2 classes, .* has numbers")
    refused(replace(asked, checkpoint=checkpoint), "is not a checkpoint of a model that predicts")
    refused(replace(asked, data=prepared), "is not a checkpoint of a translation model")
    three = make_labelled(tmp_path / "three", "mnli", ("a", "b", "c"), ("accuracy",))
    refused(replace(asked, data=three), "it predicts 2 classes, .*three has 3 classes")


@pytest.mark.parametrize("value", ["x", {"a": 1}, [1]], ids=str)
def test_hostile_options_in_a_checkpoint_are_refused(value, asked, classifier, tmp_path, no_run):
    path = change_checkpoint(
        classifier, tmp_path / "x.pt", lambda state: state["cfg"]["task"].update(init_token=value)
    )
    refused(replace(asked, checkpoint=path), "x.pt is not a checkpoint of a model that predicts")


def test_a_sentence_longer_than_the_model_takes_is_refused(asked, no_run):
    lines = [["w1"] * (40 if number == 2 else 2) for number in range(30)]
    dictionary = Dictionary.load(str(asked.data / "input0/dict.txt"))
    write_binary(asked.data / "input0" / "valid", lines, dictionary)
    message = r"sentence 3 of valid has \d+ tokens, the model takes 32: make .* --max-length 32"
    refused(asked, message)


def test_nan_is_no_prediction(asked, classifier, tmp_path):
    def spoil(state) -> None:
        name = "classification_heads.sentence_classification_head.out_proj.bias"
        state["model"][name].fill_(float("nan"))

    path = change_checkpoint(classifier, tmp_path / "x.pt", spoil)
    with pytest.raises(UserError, match=r"x.pt: its output for sentence \d+ of valid is NaN or"):
        evaluate(replace(asked, checkpoint=path))
    assert not list(asked.results_path.iterdir())


def test_the_command_names_its_data(asked, classifier, capsys):
    command = ["evaluate", str(asked.data), "--path", str(classifier), "--beam", "3"]
    with pytest.raises(SystemExit, match="no search translates"):
        main([*command, "--results-path", str(asked.results_path)])
