"""Results: read as they were written, or refused."""

import json
from dataclasses import asdict, replace

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.scoring.metrics import Answers, Classes, Numbers, Tags
from intra_distill.tools.scoring.results import (
    SegmentScores,
    read_result,
    why_incomparable,
    write_result,
)

from ...support.results import (
    SIGNATURES,
    in_metrics,
    make_language,
    make_prediction,
    make_result,
    searched,
)

TEST_SET = asdict(make_result().test_set)
CHECKPOINT = asdict(make_result().checkpoint)
SCORES = {"file": "test.scores.COMET", "sha256": "a", "higher_is_better": True}
WITH_SCORES = {
    "scores": {"BLEU": 30.0, "COMET": 0.8},
    "signatures": {"BLEU": SIGNATURES["BLEU"], "COMET": "x"},
    "segment_scores": {"COMET": SCORES},
}


def test_a_result_is_read_as_it_was_written(tmp_path):
    test = {"p_value": 0.1}
    result = make_result(
        "intra_x+task.num_passes=5",
        seed=7,
        num_passes=5,
        significance={"tests": {"BLEU": test, "COMET": test}},
        **{**WITH_SCORES, "segment_scores": {"COMET": SegmentScores(**SCORES)}},
    )
    members = (replace(result.checkpoint, parameters=result.checkpoint.parameters // 2),) * 2
    result = replace(result, members=members)
    write_result(tmp_path / "test.json", result)
    assert read_result(tmp_path / "test.json") == result
    assert result.overrides == ["task.num_passes=5"]


def test_a_test_set_knows_its_data_set():
    assert make_result(dataset="zh_cn-en").test_set.dataset == "zh_cn-en"


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"signatures": {"BLEU": "x", "TER": "x"}}, "its scores and signatures are of different"),
        ({"scores": {"BLEU": 1, "chrF": 1, "TER": 1}}, "scores and signatures are of different"),
        ({"significance": {"tests": {"BLEU": {"p_value": 1}}}}, "are of different metrics"),
        ({"scores": {"f1": 1}, "signatures": {"f1": "x"}}, "'f1' is no metric"),
        ({"primary_metric": "TER"}, "it has no TER, its primary metric"),
        ({"primary_metric": ""}, "it has no , its primary metric"),
        *(
            ({"test_set": {**TEST_SET, "dataset": name}}, f"its dataset is {name}, not de-en")
            for name in ("de-fr", "../../etc")
        ),
        ({"tokenizer": "14a"}, "'14a' is no tokeniser of sacreBLEU"),
        ({"output": "../test.hyp.en"}, "'../test.hyp.en' is no name of a file"),
        ({"members": [CHECKPOINT]}, "its ensemble is not of the members that it has"),
        ({"members": [CHECKPOINT] * 2}, "its ensemble is not of the members that it has"),
        ({"segment_scores": {"COMET": SCORES}}, "'COMET' is no score of another program's"),
        ({"segment_scores": {"BLEU": SCORES}}, "'BLEU' is no score of another program's"),
        ({**WITH_SCORES, "primary_metric": "COMET"}, "it has no COMET, its primary metric"),
        (
            {**WITH_SCORES, "segment_scores": {"COMET": {**SCORES, "file": "../x"}}},
            "'../x' is no name of a file",
        ),
        *(
            ({"test_set": {**TEST_SET, "text": {**TEST_SET["text"], **changes}}}, why)
            for changes, why in (
                ({"source": "/x"}, "'/x' is no name of a file"),
                ({"source": ""}, "'' is no name of a file"),
                ({"source": None}, "it has a source or its SHA-256, not both"),
            )
        ),
        ({"task": "tagging"}, "a translation in one place and of predictions in another"),
        ({"task": None}, ""),
        ({"task": "\x1b[2J"}, ""),
        ({"overrides": "task.num_passes=5"}, ""),
        ({"overrides": ["a\nb"]}, ""),
        ({"overrides": [1]}, ""),
        ({"checkpoint": {**asdict(make_result().checkpoint), "num_passes": "3"}}, ""),
        ({"checkpoint": {**asdict(make_result().checkpoint), "num_passes": 1.5}}, ""),
    ],
    ids=ascii,
)
def test_a_result_that_evaluate_does_not_write_is_refused(changes, why, tmp_path):
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**asdict(make_result()), **changes}))
    with pytest.raises(UserError) as refusal:
        read_result(path)
    line = str(refusal.value)
    assert line.startswith(f"{path} is not a result of intra-distill evaluate")
    assert why in line and line.isprintable()


@pytest.mark.parametrize("field", asdict(make_result()))
def test_a_result_without_a_field_is_refused(field, tmp_path):
    content = asdict(make_result())
    del content[field]
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="test.json is not a result of intra-distill evaluate"):
        read_result(tmp_path / "test.json")


def test_results_on_the_same_references_compare_wherever_these_are():
    result, other = make_result(), searched(make_result("other"), beam=1)
    moved = replace(other, test_set=replace(other.test_set, data="elsewhere"))
    assert why_incomparable(moved, result.test_set, result.signatures) == ""
    nl = make_result(dataset="nl-en")
    assert "are different" in why_incomparable(nl, result.test_set, result.signatures)
    signatures = {**result.signatures, "BLEU": "tok:intl"}
    assert why_incomparable(result, result.test_set, signatures).startswith("its BLEU is nrefs:1")


def test_a_result_in_fewer_metrics_compares_in_those(tmp_path):
    result = in_metrics(make_result(), {"BLEU": 30.0})
    assert why_incomparable(result, result.test_set, SIGNATURES) == ""


def test_a_prediction_is_read_as_it_was_written(tmp_path):
    for dataset, metric in {"rte": "accuracy", "sts-b": "Pearson", "mrpc": "F1"}.items():
        result = make_prediction(dataset=dataset, **{metric: 70.0})
        write_result(tmp_path / "valid.json", result)
        assert read_result(tmp_path / "valid.json") == result
    assert make_prediction("x").kind == Classes(("entailment", "not_entailment"))
    assert make_prediction(dataset="sts-b", Pearson=1.0).kind == Numbers()


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"tokenizer": "13a"}, "'13a' is no tokeniser"),
        ({"search": asdict(make_result().search)}, "a translation in one place and of predictions"),
        ({"scores": {"BLEU": 1.0}}, "different metrics"),
        (
            {"scores": {"BLEU": 1.0}, "signatures": {"BLEU": "x"}, "primary_metric": "BLEU"},
            "BLEU is a metric of translations, not of classes",
        ),
        ({"task": "translation"}, "a translation in one place and of predictions in another"),
        ({"task": "language_modeling"}, "'language_modeling' is no task"),
        ({"task": "tagging"}, "accuracy is a metric of classes, not of tags"),
        ({"task": "span_prediction"}, "its classes are not those of span_prediction"),
        ({"test_set": {**asdict(make_prediction().test_set), "classes": "no"}}, ""),
        ({"test_set": {**asdict(make_prediction().test_set), "classes": None}}, "not of numbers"),
        ({"test_set": {**asdict(make_prediction().test_set), "classes": [1, 2]}}, ""),
    ],
    ids=ascii,
)
def test_a_prediction_that_evaluate_does_not_write_is_refused(changes, why, tmp_path):
    path = tmp_path / "valid.json"
    path.write_text(json.dumps({**asdict(make_prediction()), **changes}))
    with pytest.raises(UserError, match=f"is not a result of intra-distill evaluate.*{why}"):
        read_result(path)


def test_results_of_a_language_are_read_as_they_were_written(tmp_path):
    for metric, kind in {
        "entity-F1": Tags(("O", "B-PER", "I-PER")),
        "answer-F1": Answers(),
    }.items():
        result = make_language(metric=metric)
        write_result(tmp_path / "test-ar.json", result)
        assert read_result(tmp_path / "test-ar.json") == result
        assert (result.kind, result.dataset) == (kind, "ar")


@pytest.mark.parametrize("metric", ["entity-F1", "answer-F1"])
def test_tags_and_answers_are_not_mistaken(metric, tmp_path):
    content = asdict(make_language(metric=metric))
    classes = None if content["test_set"]["classes"] else ["O"]
    tasks = {"sentence_prediction", "tagging", "span_prediction"} - {content["task"]}
    contents = [{**content, "task": task} for task in tasks]
    contents.append({**content, "test_set": {**content["test_set"], "classes": classes}})
    for each in contents:
        (tmp_path / "x.json").write_text(json.dumps(each))
        with pytest.raises(UserError, match="its classes are not those|is a metric of (tags|answ)"):
            read_result(tmp_path / "x.json")
