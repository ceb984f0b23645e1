"""Scores that another program has made: read in each of its forms, kept, compared and shown."""

import json
import os
import shutil
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from intra_distill.cli import main
from intra_distill.cli.evaluate import print_result
from intra_distill.errors import UserError
from intra_distill.tools.scoring import evaluation, translations
from intra_distill.tools.scoring.evaluation import Evaluation
from intra_distill.tools.scoring.metrics import BOOTSTRAP_SAMPLES, BOOTSTRAP_SEED
from intra_distill.tools.scoring.results import Result, read_result
from intra_distill.tools.scoring.search import Search, Translation
from intra_distill.tools.scoring.segment_scores import GivenScores, given_scores, read_numbers

SENTENCES = 19
SCORES = [round(0.9 - 0.01 * n**1.3, 4) for n in range(SENTENCES)]
WORSE = [round(score - 0.02 * (n % 3), 4) for n, score in enumerate(SCORES)]


def evaluate(asked: Evaluation) -> Result:
    (result,) = evaluation.evaluate(asked)
    return result


def plain(scores: list[float], _: list[str]) -> str:
    return "".join(f"{score}\n" for score in scores)


def printed(scores: list[float], _: list[str]) -> str:
    """What comet-score prints."""
    lines = [f"hyp.en\tSegment {n}\tscore: {score:.4f}\n" for n, score in enumerate(scores)]
    return "".join(["Downloading\n", *lines, f"hyp.en\tscore: {fmean(scores):.4f}\n"])


def as_json(scores: list[float], texts: list[str]) -> str:
    """What comet-score writes for --to_json."""
    pairs = zip(texts, scores, strict=True)
    segments = [{"src": "x", "mt": text.strip(), "COMET": score} for text, score in pairs]
    return json.dumps({"hyp.en": segments}, indent=4)


@pytest.fixture
def done(prepared, checkpoint, base, tmp_path) -> Evaluation:
    """An evaluation that is finished."""
    results_path = shutil.copytree(base.parent, tmp_path / "plain")
    return Evaluation(prepared, checkpoint, results_path)


@pytest.fixture
def write(done, tmp_path) -> Callable[..., GivenScores]:
    """Write scores of the translations that are there, in a form."""
    texts = (done.results_path / "test.hyp.en").read_text().split("\n")[:-1]

    def write(scores: list[float], form=plain, name: str = "COMET", **changes) -> GivenScores:
        path = tmp_path / f"{name}.scores"
        path.write_text(form(scores, texts))
        return replace(GivenScores(name, path, "wmt22-comet-da|version:2.2.2", True), **changes)

    return write


@pytest.mark.parametrize("form", [plain, printed, as_json])
def test_scores_come_in_three_forms(form, done, write):
    before = read_result(done.results_path / "test.json")
    result = evaluate(replace(done, scores=(write(SCORES, form),)))
    assert result == read_result(done.results_path / "test.json")
    assert list(result.scores) == ["BLEU", "chrF", "COMET"] and result.primary_metric == "BLEU"
    assert result.scores["COMET"] == pytest.approx(fmean(SCORES), abs=1e-12)
    assert result.signatures["COMET"] == "wmt22-comet-da|version:2.2.2|case:lc"
    kept = done.results_path / result.segment_scores["COMET"].file
    assert list(map(float, kept.read_text().split())) == SCORES
    assert {name: result.scores[name] for name in before.scores} == before.scores


def resampled(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """The mean of the resampled scores and p, by the definition of paired bootstrap."""
    resamples = np.random.default_rng(BOOTSTRAP_SEED).choice(
        len(ours), size=(BOOTSTRAP_SAMPLES, len(ours))
    )
    means = np.array(ours)[resamples].mean(1)
    differences = np.abs(means - np.array(theirs)[resamples].mean(1))
    larger = np.abs(differences - differences.mean()) >= abs(fmean(ours) - fmean(theirs))
    return means.mean(), (larger.sum() + 1) / (BOOTSTRAP_SAMPLES + 1)


def test_a_difference_is_tested_by_the_resamples_of_all_metrics(done, write, tmp_path, capsys):
    baseline = shutil.copytree(done.results_path, tmp_path / "baseline")
    compared = replace(done, scores=(write(SCORES),), baseline=baseline / "test.json", name="new")
    result = evaluate(compared)
    test = result.significance["tests"]["COMET"]
    assert test == {"p_value": None, "why_none": "plain has no COMET"}

    evaluate(replace(done, results_path=baseline, scores=(write(WORSE),)))
    result = evaluate(replace(compared, scores=()))
    test = result.significance["tests"]["COMET"]
    mean, p_value = resampled(SCORES, WORSE)
    assert (test["system"]["mean"], test["p_value"]) == pytest.approx((mean, p_value), abs=1e-6)
    assert p_value < 0.05
    assert test["signature"] == "wmt22-comet-da|version:2.2.2|case:lc|bs:1000|seed:12345"
    print_result(result)
    assert f"COMET = {fmean(SCORES):.4f}  wmt22" in capsys.readouterr().out

    table = ["table", str(done.results_path), str(baseline), "--baseline", "plain"]
    main(table)
    new = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| new"))
    assert f"| {fmean(SCORES):.3f} (+{fmean(SCORES) - fmean(WORSE):.3f}) | {p_value:.3f} |" in new


def test_the_table_compares_scores_that_no_evaluation_has_compared(done, write, tmp_path, capsys):
    """In a metric of errors, and in the only metric that is asked for."""
    baseline = shutil.copytree(done.results_path, tmp_path / "baseline")
    errors = {"name": "MetricX", "higher_is_better": False}
    evaluate(replace(done, scores=(write(WORSE, **errors),), name="new"))
    evaluate(replace(done, results_path=baseline, scores=(write(SCORES, **errors),)))
    capsys.readouterr()
    main(["table", *map(str, (done.results_path, baseline)), "--metric", "MetricX"])
    header, _, _, new, *notes = capsys.readouterr().out.splitlines()
    assert "| MetricX ↓ | p |" in header
    assert f"| {resampled(WORSE, SCORES)[1]:.3f} |" in new
    assert "- MetricX (lower is better): `wmt22-comet-da|version:2.2.2|case:lc`" in notes
    (baseline / "test.scores.MetricX").write_text("1\n")
    main(["table", *map(str, (done.results_path, baseline)), "--metric", "MetricX"])
    assert "test.scores.MetricX has changed: give plain's" in capsys.readouterr().err


def test_scores_in_two_directions_are_not_in_one_table(done, write, tmp_path):
    other = shutil.copytree(done.results_path, tmp_path / "other")
    evaluate(replace(done, scores=(write(SCORES),)))
    lower = write(SCORES, higher_is_better=False)
    evaluate(replace(done, results_path=other, scores=(lower,), name="new"))
    with pytest.raises(SystemExit, match="its COMET is better in the other direction"):
        main(["table", str(done.results_path), str(other)])


def test_scores_of_another_model_are_not_compared(done, write, tmp_path):
    baseline = shutil.copytree(done.results_path, tmp_path / "baseline")
    evaluate(replace(done, results_path=baseline, scores=(write(SCORES, signature="new"),)))
    compared = replace(done, scores=(write(SCORES),), baseline=baseline / "test.json")
    with pytest.raises(UserError, match="its COMET is new.case:lc, not wmt22-comet-da.*2.case:lc"):
        evaluate(compared)


def test_scores_stay_as_long_as_the_translations(done, write, monkeypatch, capsys):
    scored = evaluate(replace(done, scores=(write(SCORES),)))
    assert evaluate(done) == scored
    other = evaluate(replace(done, metrics=("TER",), name="other"))
    assert list(other.scores) == ["TER", "COMET"]
    assert list(evaluate(done).scores) == ["TER", "COMET"]

    texts = (done.results_path / "test.hyp.en").read_text().split("\n")[:-1]
    monkeypatch.setattr(translations, "translate", lambda *_: Translation(texts, 0, 0))
    again = evaluate(replace(done, search=Search(beam=4)))
    assert again.scores["COMET"] == scored.scores["COMET"]
    assert "left out" not in capsys.readouterr().out

    monkeypatch.setattr(translations, "translate", lambda *_: Translation(["x"] * 19, 0, 0))
    result = evaluate(replace(done, search=Search(beam=3)))
    assert list(result.scores) == ["BLEU", "chrF"] and not result.segment_scores
    assert "COMET is left out, which is of other translations" in capsys.readouterr().out


def test_scores_of_translations_that_are_not_there_are_refused(done, write):
    """They are of an earlier output, whatever they are."""
    with pytest.raises(UserError, match="--score is of translations that are not there: evaluate"):
        evaluate(replace(done, scores=(write(SCORES),), search=Search(beam=2)))


def test_scores_older_than_the_translations_are_said(done, write, capsys):
    given = write(SCORES)
    os.utime(given.path, (0, 0))
    evaluate(replace(done, scores=(given,)))
    assert f"{given.path} is older than test.hyp.en" in capsys.readouterr().out


@pytest.mark.parametrize(
    "scores, form, message",
    [
        (SCORES[:-1], plain, "has 18 scores for 19 translations"),
        ([*SCORES, 1.0], printed, "has 20 scores for 19 translations"),
        ([], plain, "has 0 scores for 19 translations"),
        ([*SCORES[:-1], float("nan")], plain, "score 19 is nan"),
        ([*SCORES[:-1], float("-inf")], as_json, "score 19 is -inf"),
        ([*SCORES[:-1], 1e308], plain, r"score 19 is 1e\+308, not from -1e\+09 to 1e\+09"),
        ([*SCORES[:-1], "1_0"], plain, "line 19: '1_0' is no number"),
        ([*SCORES[:-1], True], as_json, "segment 18: 'True' is no number"),
        ([*SCORES[:-1], "x" * 99], plain, f"line 19: '{'x' * 40}' is no number"),
        (SCORES, lambda scores, _: printed(scores, _) * 2, "a segment is missing or there twice"),
        (
            SCORES,
            lambda scores, _: printed(scores, _) + printed(scores, _).replace("hyp", "new"),
            "the scores of several files",
        ),
        (SCORES, lambda scores, texts: as_json(scores, texts[::-1]), "is of another translation"),
        (SCORES, lambda *_: '{"a": [], "b": []}', "is not the JSON of comet-score for one file"),
        (SCORES, lambda *_: '{"a": [1]}', "is not the JSON of comet-score for one file"),
        (SCORES, lambda *_: "{" * 10**5, "is not the JSON of comet-score for one file"),
        (SCORES, lambda *_: '{"a": [{"COMET": null, "mt": "x"}]}', "is of another translation"),
    ],
)
def test_what_is_no_score_of_each_translation_is_refused(scores, form, message, done, write):
    before = (done.results_path / "test.json").read_bytes()
    with pytest.raises(UserError, match=message):
        evaluate(replace(done, scores=(write(scores, form),)))
    assert (done.results_path / "test.json").read_bytes() == before


def test_names_that_differ_in_case_alone_are_refused(done, write):
    """Some file systems would keep both in one file."""
    evaluate(replace(done, scores=(write(SCORES),)))
    with pytest.raises(UserError, match="--score Comet: the result has COMET: give it that name"):
        evaluate(replace(done, scores=(write(WORSE, name="Comet"),)))
    pairs = [("COMET", "x"), ("Comet", "x")]
    args = Namespace(score=pairs, score_signature=pairs, lower_is_better=[])
    with pytest.raises(UserError, match="--score has COMET twice"):
        given_scores(args)


def test_a_signature_fits_a_table(done, write):
    args = Namespace(score=[("x", "f")], score_signature=[("x", " v1 ")], lower_is_better=[])
    assert given_scores(args)[0].signature == "v1"
    with pytest.raises(UserError, match="--score-signature COMET: the table quotes it"):
        evaluate(replace(done, scores=(write(SCORES, signature="`v1`"),)))


def test_scores_of_several_subsets_are_refused(done, write):
    asked = replace(done, scores=(write(SCORES),), subsets=("test", "test1"))
    with pytest.raises(UserError, match="--score is of one of the subsets test, test1: name it"):
        evaluate(asked)


def test_labels_have_no_such_scores(of_classes, classifier, tmp_path):
    (tmp_path / "x").write_text("1\n")
    given = GivenScores("x", tmp_path / "x", "y", True)
    with pytest.raises(UserError, match="--score: .* has no translations: leave it out"):
        evaluate(Evaluation(of_classes, classifier, tmp_path, scores=(given,)))


def test_a_windows_file_has_the_same_scores(tmp_path):
    (tmp_path / "x").write_bytes(b"0.5\r\n-1e-3\r\n")
    assert read_numbers(tmp_path / "x", ["a", "b"]) == [0.5, -0.001]


def test_command(done, write, capsys):
    arguments = ["evaluate", str(done.data), "--path", str(done.checkpoint), "--cpu"]
    arguments += ["--results-path", str(done.results_path)]
    main(arguments)
    out = capsys.readouterr().out
    source, output, references = (
        f"{done.results_path}/test.{name}" for name in ("src.de", "hyp.en", "ref.en")
    )
    assert f"  comet-score -s {source} -t {output} -r {references} --to_json " in out
    assert f"  pymarian-eval -m wmt22-comet-da -s {source} -t {output} -r {references} -o " in out

    given = write(SCORES, name="MetricX")
    arguments += ["--score", f"MetricX={given.path}", "--score-signature", "MetricX=24|seed=1"]
    main([*arguments, "--lower-is-better", "MetricX"])
    out = capsys.readouterr().out
    assert "comet-score" not in out and "MetricX = " in out and "  24|seed=1|case:lc" in out
    assert "the text is lower-cased: MetricX may have been trained" in out
    result = read_result(done.results_path / "test.json")
    assert not result.measure("MetricX").higher_is_better
