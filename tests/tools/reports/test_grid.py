"""Results gathered, tested and laid out."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.reports import grid, runs, significance
from intra_distill.tools.reports.grid import lay_out
from intra_distill.tools.reports.paper import read_paper
from intra_distill.tools.reports.runs import gather
from intra_distill.tools.scoring import metrics
from intra_distill.tools.scoring.metrics import compare
from intra_distill.tools.scoring.results import Result, write_result

from ...support.results import (
    REFERENCES,
    SCORERS,
    SIGNATURES,
    WORSE,
    compared,
    make_prediction,
    make_result,
    put,
    put_scored,
    searched,
)
from ...support.training import CONFIGS

# Gathering


def test_folders_are_searched_for_the_results_of_a_subset(tmp_path):
    one = put(tmp_path, make_result(seed=1))
    two = put(tmp_path, make_result("intra_x", "nl-en", seed=2))
    (tmp_path / "valid.json").write_text("not asked for")
    assert [run.path for run in gather([tmp_path], ["test"])] == [one, two]
    assert [(run.system, run.dataset, run.seed) for run in gather([two, tmp_path], ["test"])] == [
        ("intra_x", "nl-en", 2),
        ("transformer", "de-en", 1),
    ]


def test_a_folder_is_searched_for_each_of_several_subsets(tmp_path):
    first, second = (make_prediction(dataset="mnli-m", subset=name) for name in ("valid", "valid1"))
    valid = put(tmp_path, first)
    valid1 = valid.with_name("valid1.json")
    write_result(valid1, replace(second, test_set=replace(second.test_set, dataset="mnli-mm")))
    assert [run.path for run in gather([tmp_path], ["valid1", "valid"])] == [valid, valid1]
    assert [run.path for run in gather([tmp_path], ["valid1", "test"])] == [valid1]


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} holds no valid.json or test.json: run"):
        gather([tmp_path], ["valid", "test"])


BASE = make_result()


def of_dataset(result: Result, source_lang: str) -> Result:
    """The second seed of a result, on another data set."""
    return replace(
        result,
        test_set=replace(
            result.test_set,
            dataset=f"{source_lang}-en",
            text=replace(result.test_set.text, source_lang=source_lang),
        ),
        checkpoint=replace(result.checkpoint, seed=2),
    )


@pytest.mark.parametrize("source_lang", ["de", "nl"])
@pytest.mark.parametrize(
    "other, why",
    [
        (
            replace(BASE, test_set=replace(BASE.test_set, subset="valid")),
            "its subset is valid, not test",
        ),
        (
            replace(BASE, signatures={**BASE.signatures, "chrF": "nc:4"}),
            r"its chrF is nc:4, not nrefs:1\|",
        ),
        (searched(BASE, beam=4), "its beam is 4, not 5"),
        (searched(BASE, lenpen=0.6), "its lenpen is 0.6, not 1.0"),
        (
            searched(BASE, max_len_b=300),
            "its limit of length is 300 pieces, not 200 pieces, or twice the source",
        ),
    ],
)
def test_results_that_were_not_scored_alike_are_refused(other, why, source_lang, tmp_path):
    base, path = put(tmp_path, BASE), put(tmp_path, of_dataset(other, source_lang))
    with pytest.raises(UserError, match=f"{path} cannot .* one table with {base}: {why}"):
        lay_out(gather([base, path], ["test"]))


def test_results_of_several_tasks_are_refused(tmp_path):
    base, path = put(tmp_path, BASE), put(tmp_path, make_prediction(subset="test"))
    why = "its task is sentence_prediction, not translation"
    with pytest.raises(UserError, match=f"{path} cannot .* one table with {base}: {why}"):
        lay_out(gather([base, path], ["test"]))


@pytest.mark.parametrize(
    "other, why",
    [
        (
            replace(BASE, test_set=replace(BASE.test_set, data="new", references_sha256="x")),
            "its references, test.ref.en of new, are different",
        ),
        (make_result(parameters=3), "its transformer has 3 parameters, not 49976832"),
    ],
)
def test_what_may_differ_between_data_sets_alone(other, why, tmp_path):
    base, path = put(tmp_path, BASE), put(tmp_path, of_dataset(other, "de"))
    with pytest.raises(UserError, match=f"{path} cannot .* one table with {base}: {why}"):
        lay_out(gather([tmp_path], ["test"]))
    runs = gather([base, put(tmp_path, of_dataset(other, "nl"))], ["test"])
    assert len(lay_out(runs).shown) == 2


def test_what_is_not_shown_need_not_fit(tmp_path):
    put(tmp_path, BASE)
    put(tmp_path, searched(make_result("other"), beam=1))
    runs = gather([tmp_path], ["test"])
    assert lay_out(runs, systems=["transformer"]).systems == ["transformer"]
    with pytest.raises(UserError, match="its beam is"):
        lay_out(runs)


def test_two_results_for_one_place_are_refused(tmp_path):
    paths = [put(tmp_path / folder, BASE) for folder in ("a", "b")]
    with pytest.raises(UserError) as refusal:
        lay_out(gather([tmp_path], ["test"]))
    assert all(str(path) in str(refusal.value) for path in paths)
    assert "are both transformer on de-en with seed 1" in str(refusal.value)


# The grid


def test_seeds_become_mean_and_sample_standard_deviation(tmp_path):
    for seed, bleu in {1: 30.0, 2: 31.0, 3: 35.0}.items():
        put(tmp_path, make_result(seed=seed, bleu=bleu))
    cell = lay_out(gather([tmp_path], ["test"])).cells["transformer", "de-en"]
    assert cell.seeds == [1, 2, 3]
    assert cell.scores["BLEU"].mean == pytest.approx(32)
    assert cell.scores["BLEU"].sd == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert cell.scores["chrF"].sd == 0


def test_what_is_shown_in_which_order(tmp_path):
    for system in ("intra_x", "another", "transformer"):
        for dataset in ("nl-en", "de-en"):
            put(tmp_path, make_result(system, dataset))
    runs = gather([tmp_path], ["test"])
    table = lay_out(runs)
    assert (table.systems, table.datasets) == (
        ["transformer", "another", "intra_x"],
        ["de-en", "nl-en"],
    )
    assert table.reference == "transformer"
    assert table.metrics == {"de-en": ["BLEU"], "nl-en": ["BLEU"]}
    assert lay_out(runs, datasets=["nl-en"]).metrics == {"nl-en": ["BLEU", "chrF"]}

    paper = read_paper(CONFIGS / "iwslt14" / "paper.yaml")
    table = lay_out(runs, paper=paper)
    assert table.systems == [*paper.scores, "another"] and len(table.datasets) == 8

    table = lay_out(runs, ["x", "intra_x"], ["nl-en", "fa-en"], "chrF", "another")
    assert (table.systems, table.datasets) == (["x", "intra_x"], ["nl-en", "fa-en"])
    assert list(table.shown) == [("intra_x", "nl-en")]


def test_without_a_transformer_the_first_is_the_reference(tmp_path):
    paths = [put(tmp_path, make_result(system)) for system in ("b", "a")]
    assert lay_out(gather(paths, ["test"])).reference == "b"
    paths.append(put(tmp_path, make_result("plain")))
    assert lay_out(gather(paths, ["test"])).reference == "plain"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"reference": "x"}, "--baseline x: the results are of transformer"),
        ({"systems": ["x"]}, "no result is of x on de-en: the results are of transformer on de-en"),
        ({"datasets": ["de-nl"]}, "no result is of transformer on de-nl"),
    ],
)
def test_an_empty_table_is_refused(options, message, tmp_path):
    put(tmp_path, BASE)
    with pytest.raises(UserError, match=message):
        lay_out(gather([tmp_path], ["test"]), **options)


# Significance


def cell_of(tmp_path: Path, system: str = "intra_x") -> grid.Cell:
    return lay_out(gather([tmp_path], ["test"])).cells[system, "de-en"]


def test_the_largest_stored_p_value_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(significance, "compare_results", lambda *_: pytest.fail("compared again"))
    for seed, p_value in {1: 0.001, 2: 0.04}.items():
        put(tmp_path, make_result(seed=seed))
        put(tmp_path, compared(make_result("intra_x", seed=seed, bleu=31), p_value, p_value / 2))
    cell = cell_of(tmp_path)
    assert {name: score.p_value for name, score in cell.scores.items()} == {
        "BLEU": 0.04,
        "chrF": 0.02,
    }
    assert cell.not_compared == ""
    reference = cell_of(tmp_path, "transformer")
    assert reference.scores["BLEU"].p_value is None and reference.not_compared == ""


def test_seeds_that_disagree_are_no_significant_difference(tmp_path):
    for seed, bleu in {1: 20, 2: 40}.items():
        put(tmp_path, make_result(seed=seed))
        put(tmp_path, compared(make_result("intra_x", seed=seed, bleu=bleu), 0.001))
    assert cell_of(tmp_path).scores["BLEU"].p_value == 1


def test_a_reference_of_one_seed_serves_all(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        significance,
        "paired_bootstrap",
        lambda run, reference, metrics: (
            asked.append((run.seed, reference.seed)) or dict.fromkeys(metrics, 0.1)
        ),
    )
    put(tmp_path, make_result(seed=7))
    for seed in (1, 2):
        put(tmp_path, make_result("intra_x", seed=seed, bleu=31))
    cell_of(tmp_path)
    assert asked == [(1, 7), (2, 7)]


def test_without_its_counterpart_a_seed_has_no_p_value(tmp_path):
    for seed in (1, 2):
        put(tmp_path, make_result(seed=seed))
    for seed in (1, 3):
        put(tmp_path, compared(make_result("intra_x", seed=seed, bleu=31), 0.001))
    cell = cell_of(tmp_path)
    assert cell.scores["BLEU"].p_value is None
    assert cell.not_compared == "the reference has no result on de-en with seed 3"


def test_what_evaluate_did_not_compare_is_compared_now(tmp_path):
    put_scored(tmp_path, "transformer", WORSE)
    put_scored(tmp_path, "intra_x", REFERENCES)
    expected = compare(REFERENCES, WORSE, SCORERS)
    scores = cell_of(tmp_path).scores
    assert list(scores) == ["BLEU", "chrF"]
    assert all(scores[name].p_value == expected[name]["p_value"] for name in scores)
    assert scores["BLEU"].p_value < 0.05


def test_of_too_few_sentences_there_is_no_p_value(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "FEWEST_SENTENCES", len(REFERENCES) + 1)
    put_scored(tmp_path, "transformer", WORSE)
    put_scored(tmp_path, "intra_x", REFERENCES)
    cell = cell_of(tmp_path)
    assert all(score.p_value is None for score in cell.scores.values())
    assert "intra_x on de-en: 30 sentences are too few to resample" in cell.not_compared


def test_a_comparison_with_other_hypotheses_does_not_count(tmp_path):
    put_scored(tmp_path, "transformer", WORSE)
    path = put_scored(tmp_path, "intra_x", REFERENCES)
    stale = compared(runs.read_result(path), 0.77)
    put(tmp_path / "runs", stale)
    assert cell_of(tmp_path).scores["BLEU"].p_value < 0.05


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (
            lambda root: (root / "runs/de-en/intra_x/seed1/test.ref.en").unlink(),
            "test.ref.en are not there",
        ),
        (
            lambda root: (root / "runs/de-en/intra_x/seed1/test.ref.en").write_text("others\n"),
            "test.ref.en are no longer what was scored against",
        ),
        (
            lambda root: (root / "runs/de-en/transformer/seed1/test.hyp.en").unlink(),
            "test.hyp.en, the output of transformer, is not there",
        ),
        (
            lambda root: (root / "runs/de-en/intra_x/seed1/test.hyp.en").write_text("new\n"),
            "test.hyp.en is no longer what was scored",
        ),
    ],
)
def test_what_cannot_be_compared_any_more_has_no_p_value(spoil, reason, tmp_path):
    put_scored(tmp_path, "transformer", WORSE)
    put_scored(tmp_path, "intra_x", REFERENCES)
    spoil(tmp_path)
    cell = cell_of(tmp_path)
    assert cell.scores["BLEU"].p_value is None
    assert reason in cell.not_compared


def test_scores_of_another_sacrebleu_are_not_compared(tmp_path, monkeypatch):
    for system, hypotheses in {"transformer": WORSE, "intra_x": REFERENCES}.items():
        path = put_scored(tmp_path, system, hypotheses)
        older = {name: SIGNATURES[name].rsplit(":", 1)[0] + ":1.0" for name in ("BLEU", "chrF")}
        put(tmp_path / "runs", replace(runs.read_result(path), signatures=older))
    assert "the installed sacreBLEU is another" in cell_of(tmp_path).not_compared


# The paper's numbers


def test_the_papers_averages_are_those_it_prints():
    paper = read_paper(CONFIGS / "iwslt14" / "paper.yaml")
    averages = {system: f"{fmean(scores.values()):.2f}" for system, scores in paper.scores.items()}
    assert averages == {
        "transformer": "30.46",
        "sage": "31.00",
        "r_drop": "33.33",
        "switch": "30.00",
        "intra_js": "33.37",
        "intra_x": "34.00",
    }
    assert paper.parameters == dict.fromkeys(averages, "49.98M") | {"switch": "87.81M"}
    assert paper.score("intra_x", "de-en", "BLEU") == 36.10
    assert paper.score("intra_x", "de-en", "chrF") is None


def test_the_papers_gain_on_wmt17_is_what_it_says():
    paper = read_paper(CONFIGS / "wmt17" / "paper.yaml")
    gain = paper.score("intra_x", "en-de", "BLEU") - paper.score("transformer", "en-de", "BLEU")
    assert gain == pytest.approx(1.06)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n",
        "source: x\nmetric: BLEU\nsystems: [a]\n",
        "source: x\nmetric: BLEU\nsystems: {a: {parameters: 1M}}\n",
        "source: x\nmetric: BLEU\nsystems: {a: {parameters: 1M, scores: {de-en: many}}}\n",
        "source: x\nmetric: {rte: accuracy}\nsystems: {a: {scores: {mrpc: 1}}}\n",
    ],
)
def test_other_yaml_is_refused(text, tmp_path):
    path = tmp_path / "paper.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="paper.yaml does not hold published numbers"):
        read_paper(path)


def test_published_numbers_of_an_unknown_metric_are_refused(tmp_path):
    path = tmp_path / "paper.yaml"
    path.write_text("source: x\nmetric: {rte: acc}\nsystems: {a: {scores: {rte: 1}}}\n")
    with pytest.raises(UserError, match="'acc', of rte, is no metric: choose from BLEU, chrF"):
        read_paper(path)


def test_published_numbers_of_another_metric_are_refused(tmp_path):
    put(tmp_path, make_result())
    paper = read_paper(CONFIGS / "iwslt14" / "paper.yaml")
    with pytest.raises(
        UserError, match="the published numbers on ar-en are BLEU, the table's chrF"
    ):
        lay_out(gather([tmp_path], ["test"]), metric="chrF", paper=paper)
