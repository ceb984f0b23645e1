import csv
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.cli import table as cli_table
from intra_distill.files import read_lines
from intra_distill.tools.reports import markdown
from intra_distill.tools.scoring.results import Result, SegmentScores

from ...support.results import (
    SIGNATURES,
    compared,
    in_metrics,
    make_prediction,
    make_result,
    put,
    searched,
)
from ...support.training import CONFIGS

TRAINED = make_result().checkpoint
NOTES = [
    f"- BLEU: `{SIGNATURES['BLEU']}`",
    f"- chrF: `{SIGNATURES['chrF']}`",
    "- test, beam 5, length penalty 1",
]


@pytest.fixture
def printed(capsys):
    """Arguments of the command → the lines it prints on standard output, and on standard error."""

    def printed(*arguments: object) -> tuple[list[str], list[str]]:
        main(["table", *map(str, arguments)])
        output = capsys.readouterr()
        return output.out.splitlines(), output.err.splitlines()

    return printed


@pytest.fixture
def grid(tmp_path) -> Path:
    """2 systems × 3 data sets × 2 seeds; of intra_x nl-en lacks one, pl-en all."""
    for dataset, bleu in {"ar-en": 28.0, "nl-en": 36.0, "pl-en": 20.0}.items():
        for seed in (1, 2):
            put(tmp_path, make_result(dataset=dataset, seed=seed, bleu=bleu + seed, chrf=50 + seed))
            if dataset == "ar-en" or (dataset, seed) == ("nl-en", 1):
                result = make_result("intra_x", dataset, seed, bleu=bleu + 3 * seed)
                p_value = 0.01 * seed if dataset == "ar-en" else 0.051
                put(tmp_path, compared(result, p_value))
    return tmp_path


# Several data sets


def test_systems_by_data_sets(grid, printed):
    lines, errors = printed(grid)
    assert lines == [
        "| System | ar-en | nl-en | pl-en | average | parameters |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| transformer | 29.50 ± 0.71 (n = 2) | 37.50 ± 0.71 (n = 2) | 21.50 ± 0.71 (n = 2) "
        "| 29.50 ± 0.71 | 49.98M |",
        "| intra_x | 32.50 ± 2.12† (n = 2) | 39.00 (n = 1) | — | — | 49.98M |",
        "",
        NOTES[0],
        NOTES[2],
        "- mean ± standard deviation over the seeds",
        "- †: p < 0.05: paired bootstrap against transformer, 1000 resamples, the largest over the "
        "seeds",
    ]
    assert errors == []


def with_errors(result: Result, score: float) -> Result:
    """The result with the scores of a program that counts errors."""
    return replace(
        result,
        scores={**result.scores, "MetricX": score},
        signatures={**result.signatures, "MetricX": "metricx-24|case:lc"},
        segment_scores={"MetricX": SegmentScores("test.scores.MetricX", "a", False)},
    )


def test_scores_of_another_program_have_a_table_and_an_average(tmp_path, printed, figures):
    for dataset, score in {"ar-en": 2.0, "nl-en": 3.0}.items():
        for system, gain in {"transformer": 0.0, "intra_x": 0.125}.items():
            put(tmp_path, with_errors(make_result(system, dataset), score - gain))
    lines, errors = printed(tmp_path, "--metric", "MetricX", "--plot", tmp_path / "x.png")
    assert lines[2:6] == [
        "| transformer | 2.0000 | 3.0000 | 2.5000 | 49.98M |",
        "| intra_x | 1.8750 | 2.8750 | 2.3750 | 49.98M |",
        "",
        "- MetricX (lower is better): `metricx-24|case:lc`",
    ]
    assert figures[0].axes[0].get_ylabel() == "MetricX, test"
    assert len(errors) == 2 and "test.ref.en are not there" in errors[0]
    put(tmp_path, make_result("sage", "ar-en"))
    with pytest.raises(SystemExit, match="it has no MetricX: evaluate it again with --score$"):
        main(["table", str(tmp_path), "--metric", "MetricX"])
    assert "| 30.00 |" in printed(tmp_path)[0][2]  # without --metric it is the primary one


def test_where_all_have_the_same_seeds_their_number_is_said_once(grid, printed):
    lines, _ = printed(grid, "--datasets", "ar-en,pl-en", "--metric", "chrF")
    assert lines[2:] == [
        "| transformer | 51.50 ± 0.71 | 51.50 ± 0.71 | 51.50 ± 0.71 | 49.98M |",
        "| intra_x | 50.00 ± 0.00 | — | — | 49.98M |",
        "",
        NOTES[1],
        NOTES[2],
        "- mean ± standard deviation over the seeds (n = 2)",
        "- †: p < 0.05: paired bootstrap against transformer, 1000 resamples, the largest over the "
        "seeds",
    ]


def test_the_paper_stands_below(grid, printed, tmp_path):
    paper = tmp_path / "paper.yaml"
    paper.write_text(
        "source: Somebody, Table 1\nmetric: BLEU\nsystems:\n"
        "  transformer: {parameters: 50M, scores: {ar-en: 28.62, nl-en: 38, pl-en: 19}}\n"
        "  intra_x: {parameters: 50M, scores: {ar-en: 33.42}}\n"
    )
    lines, _ = printed(grid, "--paper", paper, "--systems", "intra_x,transformer,r_drop")
    assert lines[2:7] == [
        "| intra_x | 32.50 ± 2.12† (n = 2) | 39.00 (n = 1) | — | — | 49.98M |",
        "| intra_x, paper | 33.42 (-0.92) | — | — | — | 50M |",
        "| transformer | 29.50 ± 0.71 (n = 2) | 37.50 ± 0.71 (n = 2) | 21.50 ± 0.71 (n = 2) "
        "| 29.50 ± 0.71 | 49.98M |",
        "| transformer, paper | 28.62 (+0.88) | 38.00 (-0.50) | 19.00 (+2.50) | 28.54 (+0.96) "
        "| 50M |",
        "| r_drop | — | — | — | — | — |",
    ]
    assert lines[-1] == "- paper: Somebody, Table 1; in brackets our difference from it"


def test_what_was_not_compared_is_said(grid, printed):
    put(grid, make_result("sage", "ar-en", bleu=40))
    lines, errors = printed(grid)
    assert "| sage | 40.00 (n = 1) | — | — | — | 49.98M |" in lines
    assert lines[-1] == "- not compared with transformer: sage on ar-en"
    assert errors == [
        f"no p-value: the references {grid}/ar-en/sage/seed1/test.ref.en are not there"
    ]


def test_what_was_cut_is_said(grid, printed):
    put(grid, searched(make_result("sage", "ar-en", bleu=40), cut_hypotheses=3))
    lines, _ = printed(grid, "--systems", "transformer,sage")
    assert "- hypotheses cut at 200 pieces, or twice the source: sage on ar-en 3" in lines


def test_a_difference_that_is_none_has_no_dagger(grid, printed):
    put(grid, compared(make_result("same", "ar-en", bleu=29), 1.0))
    lines, _ = printed(grid, "--systems", "transformer,same", "--metric", "BLEU")
    assert "| same | 29.00 (n = 1) | — | — | — | 49.98M |" in lines
    lines, _ = printed(grid, "--systems", "transformer,same", "--datasets", "ar-en")
    assert any(line.startswith("| same | 29.0 (-0.5) | 1.000 |") for line in lines)


def test_parameters_that_depend_on_the_data_set_are_a_range(tmp_path, printed):
    for dataset, parameters in {"ar-en": 50_100_000, "de-en": 9, "nl-en": 50_200_000}.items():
        put(tmp_path, make_result(dataset=dataset, parameters=parameters))
    lines, _ = printed(tmp_path)
    assert lines[2].endswith("| 9–50.20M |")


# More data sets than fit into columns

LANGUAGES = "af ar bg de el en es eu fa fi gu yo".split()


def put_language(folder: Path, system: str, language: str, seed: int, score: float) -> None:
    """A result on the test set of a language; each has another number of sentences."""
    result = make_prediction(system, language, seed, f"test-{language}", Pearson=score)
    signature = f"sentences:{100 + LANGUAGES.index(language)}|version:2.6.0"
    result = replace(result, signatures={"Pearson": signature})
    put(folder, compared(result, 0.01, system="plain") if system == "intra_x" else result)


@pytest.fixture
def languages(tmp_path) -> Path:
    """Two systems, two seeds: of seed 1 each language has 10 more than the one before it."""
    for i, language in enumerate(LANGUAGES):
        for system, gain in {"plain": 0.0, "intra_x": 2.0}.items():
            put_language(tmp_path, system, language, 1, 10.0 * i + gain)
            put_language(tmp_path, system, language, 2, 10.0 * i + gain + 1 + (language == "yo"))
    return tmp_path


def test_many_data_sets_have_a_row_each(languages, printed, tmp_path):
    lines, errors = printed(languages)
    assert lines == [
        "| Data set | plain | intra_x |",
        "| --- | ---: | ---: |",
        *(
            f"| {name} | {10 * i + 0.5:.2f} ± 0.71 | {10 * i + 2.5:.2f} ± 0.71† |"
            for i, name in enumerate(LANGUAGES[:-1])
        ),
        "| yo | 111.00 ± 1.41 | 113.00 ± 1.41† |",
        # of seed 1 55, of seed 2 56 + 1 / 12
        "| average | 55.54 ± 0.77 | 57.54 ± 0.77 |",
        "| parameters | 49.98M | 49.98M |",
        "",
        "- Pearson: `sentences:…|version:2.6.0`",
        "- test-*",
        "- mean ± standard deviation over the seeds (n = 2)",
        "- †: p < 0.05: paired bootstrap against plain, 1000 resamples, the largest over the seeds",
    ]
    assert errors == []


def test_the_paper_stands_beside_and_a_column_that_lacks_a_score_has_no_average(
    languages, printed, tmp_path
):
    (languages / "yo/plain/seed1/test-yo.json").unlink()
    (languages / "af/intra_x/seed1/test-af.json").unlink()
    (languages / "af/intra_x/seed2/test-af.json").unlink()
    numbers = ", ".join(f"{name}: {10 * i + 1.5}" for i, name in enumerate(LANGUAGES))
    paper = tmp_path / "paper.yaml"
    paper.write_text(
        f"{{source: S, metric: Pearson, systems: {{intra_x: {{scores: {{{numbers}}}}}}}}}"
    )
    lines, _ = printed(languages, "--paper", paper, "--systems", "plain,intra_x")
    assert [lines[0], *lines[2:4], *lines[13:16]] == [
        "| Data set | plain | intra_x | intra_x, paper |",
        "| af | 0.50 ± 0.71 (n = 2) | — | 1.50 |",
        "| ar | 10.50 ± 0.71 (n = 2) | 12.50 ± 0.71† (n = 2) | 11.50 (+1.00) |",
        "| yo | 112.00 (n = 1) | 113.00 ± 1.41 (n = 2) | 111.50 (+1.50) |",
        "| average | 55.62 | — | 56.50 |",
        "| parameters | 49.98M | 49.98M | — |",
    ]


def test_a_row_of_many_names_what_was_not_compared(languages, printed):
    for language in LANGUAGES:
        put_language(languages, "sage", language, 1, 1.0)
    put_language(languages, "r_drop", "af", 1, 1.0)
    lines, _ = printed(languages, "--systems", "plain,sage,r_drop")
    assert lines[-1] == "- not compared with plain: sage on all data sets, r_drop on af"


def test_the_picture_of_many_data_sets_is_tall(languages, printed, tmp_path, figures):
    paper = tmp_path / "paper.yaml"
    paper.write_text("{source: S, metric: Pearson, systems: {plain: {scores: {af: 5.0}}}}")
    printed(languages, "--plot", tmp_path / "table.png", "--paper", paper)
    (axes,) = figures[0].axes
    plain, intra_x = axes.containers[1::2]  # each before it holds the error bars
    assert [bar.get_width() for bar in plain][:2] == [0.5, 10.5]
    assert [bar.get_width() for bar in intra_x][:2] == [2.5, 12.5]
    assert plain[0].get_y() < intra_x[0].get_y() < plain[1].get_y()
    assert [label.get_text() for label in axes.get_yticklabels()] == LANGUAGES
    assert axes.yaxis_inverted() and axes.get_xlabel() == "Pearson (× 100), test-*"
    dots = [each for each in axes.collections if len(each.get_offsets()) == len(LANGUAGES)]
    assert dots[0].get_offsets()[0].tolist() == [5.0, -0.2]
    width, height = figures[0].get_size_inches()
    assert width == 7 and height > 5


# One data set


def test_one_data_set_has_all_metrics(tmp_path, printed):
    slow = replace(TRAINED, updates=9000, training_seconds=3723.0, parameters=10)
    better = make_result("id|x", bleu=32.751, chrf=49.96, checkpoint=slow)
    base = put(tmp_path, make_result(bleu=29.649, chrf=50.04))
    lines, errors = printed(base, put(tmp_path, compared(better, 0.004, 0.3333)))
    # 32.8 - 29.6: the difference of what is shown, not of 32.751 - 29.649
    assert lines == [
        "| System | BLEU | p | chrF | p | updates | training time | parameters |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| transformer | 29.6 |  | 50.0 |  | 4500 | 12:35 | 49.98M |",
        r"| id\|x | 32.8 (+3.2) | 0.004 | 50.0 (+0.0) | 0.333 | 9000 | 1:02:03 | 10 |",
        "",
        *NOTES,
        "- p: paired bootstrap against transformer, 1000 resamples",
    ]
    assert errors == []


def test_an_unknown_training_time_is_shown_as_missing(tmp_path, printed):
    put(tmp_path, make_result("transformer", seed=1))
    unknown = replace(TRAINED, seed=2, training_seconds=None)
    put(tmp_path, make_result("transformer", seed=2, checkpoint=unknown))
    put(tmp_path, make_result("x"))
    lines, _ = printed(tmp_path, "--metric", "BLEU", "--csv", tmp_path / "x.csv")
    assert lines[2].endswith("| 2 | 4500 | — | 49.98M |")
    assert lines[3].endswith("| 1 | 4500 | 12:35 | 49.98M |")
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert [row["training_seconds"] for row in rows] == ["", "754.6"]


def test_one_data_set_of_several_seeds(grid, printed):
    lines, _ = printed(grid, "--datasets", "nl-en", "--metric", "BLEU", "--systems", "intra_x,x")
    assert lines[:4] == [
        "| System | BLEU | p | updates | training time | parameters |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| intra_x | 39.0 (+1.5) | 0.051 | 4500 | 12:35 | 49.98M |",
        "| x | — | — | — | — | — |",
    ]
    lines, _ = printed(grid, "--datasets", "ar-en")
    assert lines[2:4] == [
        "| transformer | 29.5 ± 0.7 |  | 51.5 ± 0.7 |  | 2 | 4500 | 12:35 | 49.98M |",
        "| intra_x | 32.5 ± 2.1 (+3.0) | 0.020 | 50.0 ± 0.0 (-1.5) | 0.500 "
        "| 2 | 4500 | 12:35 | 49.98M |",
    ]


def test_one_data_set_beside_the_paper(tmp_path, printed):
    put(tmp_path, make_result("transformer", "en-de", bleu=27.5))
    lines, _ = printed(tmp_path, "--paper", CONFIGS / "wmt17" / "paper.yaml")
    assert lines[0] == (
        "| System | BLEU | p | paper | chrF | p | updates | training time | parameters |"
    )
    assert lines[2] == (
        "| transformer | 27.50 |  | 27.56 (-0.06) | 50.00 |  | 4500 | 12:35 | 49.98M |"
    )
    assert lines[6] == "| intra_x | — | — | 28.62 | — | — | — | — | — |"


def test_one_system_is_compared_with_nothing(tmp_path, printed):
    lines, _ = printed(put(tmp_path, make_result()))
    assert lines == [
        "| System | BLEU | chrF | updates | training time | parameters |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| transformer | 30.0 | 50.0 | 4500 | 12:35 | 49.98M |",
        "",
        *NOTES,
    ]


# Labelled sentences


@pytest.fixture
def labelled(tmp_path) -> Path:
    """Two systems on four data sets, of which one is scored on another subset."""
    for system, gain in {"intra_x": 2.0, "plain": 0.0}.items():
        for dataset, scores in {
            "mrpc": {"F1": 88.0, "accuracy": 84.0},
            "cola": {"MCC": 54.0, "accuracy": 80.0},
            "mnli-m": {"accuracy": 84.5},
            "mnli-mm": {"accuracy": 83.0},
        }.items():
            subset = "valid1" if dataset == "mnli-mm" else "valid"
            gained = {metric: score + gain for metric, score in scores.items()}
            result = make_prediction(system, dataset, 1, subset, **gained)
            if system == "intra_x" and dataset in ("mrpc", "mnli-mm"):
                result = compared(result, 0.01, system="plain")
            put(tmp_path, result)
    return tmp_path


VALID = ["--gen-subset", "valid,valid1"]


def test_each_data_set_is_shown_in_its_own_metric(labelled, printed, figures):
    csv_path = labelled / "x.csv"
    lines, _ = printed(labelled, *VALID, "--csv", csv_path, "--plot", labelled / "x.png")
    signatures = {
        dataset: make_prediction(dataset=dataset, **{metric: 1.0}).signatures[metric]
        for dataset, metric in {"cola": "MCC", "mnli-m": "accuracy", "mrpc": "F1"}.items()
    }
    assert lines[:7] == [
        "| System | cola (MCC) | mnli-m (accuracy) | mnli-mm (accuracy) | mrpc (F1) | average "
        "| parameters |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| plain | 54.00 | 84.50 | 83.00 | 88.00 | 77.38 | 49.98M |",
        "| intra_x | 56.00 | 86.50 | 85.00† | 90.00† | 79.38 | 49.98M |",
        "",
        f"- MCC on cola: `{signatures['cola']}`",
        f"- accuracy on mnli-m: `{signatures['mnli-m']}`",
    ]
    assert lines[8:10] == [f"- F1 on mrpc: `{signatures['mrpc']}`", "- valid, valid1"]
    assert "- †: p < 0.05: paired bootstrap against plain, 1000 resamples" in lines
    assert not any("beam" in line for line in lines)

    rows = list(csv.DictReader(read_lines(csv_path)))
    assert [row["metric"] for row in rows[:4]] == ["MCC", "accuracy", "accuracy", "F1"]
    assert [row["subset"] for row in rows[:4]] == ["valid", "valid", "valid1", "valid"]
    assert rows[0].keys().isdisjoint({"beam", "lenpen", "limit_of_length", "cut_hypotheses"})
    (axes,) = figures[0].axes
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["cola\nMCC", "mnli-m\naccuracy", "mnli-mm\naccuracy", "mrpc\nF1"]
    assert axes.get_ylabel() == "score in the metric below, valid, valid1"
    assert [bar.get_height() for bar in axes.containers[1]] == [54, 84.5, 83, 88]


def test_one_metric_of_all_data_sets(labelled, printed, figures):
    options = ["--metric", "accuracy", "--datasets", "mrpc,cola", "--plot", labelled / "x.png"]
    lines, _ = printed(labelled, *VALID, *options)
    assert lines[0] == "| System | mrpc | cola | average | parameters |"
    assert lines[2] == "| plain | 84.00 | 80.00 | 82.00 | 49.98M |"
    assert lines[5].startswith("- accuracy: `classes:0,1|sentences:8|version:")
    assert figures[0].axes[0].get_ylabel() == "accuracy (%), valid"


def test_the_paper_has_a_metric_for_each_data_set(labelled, printed):
    paper = CONFIGS / "glue" / "paper.yaml"
    datasets = ["--datasets", "cola,mrpc,mnli-m,mnli-mm"]
    lines, _ = printed(labelled, *VALID, "--paper", paper, *datasets)
    assert lines[2:4] == [
        "| plain | 54.00 | 88.00 | 84.50 | 83.00 | 77.38 | 49.98M |",
        "| plain, paper | 54.00 (+0.00) | 88.60 (-0.60) | 84.70 (-0.20) | 83.60 (-0.60) "
        "| 77.72 (-0.34) | — |",
    ]
    lines, _ = printed(labelled, *VALID, "--paper", paper, "--datasets", "mrpc")
    assert lines[0].startswith("| System | F1 | p | paper | accuracy | p |")
    with pytest.raises(SystemExit, match="published numbers on mrpc are F1, the table's accuracy"):
        printed(labelled, *VALID, "--paper", paper, "--metric", "accuracy", "--datasets", "mrpc")


def test_metrics_of_which_one_is_better_low_have_no_average(tmp_path, printed):
    put(tmp_path, in_metrics(make_result(dataset="de-en"), {"TER": 40.0}))
    put(tmp_path, in_metrics(make_result(dataset="nl-en"), {"BLEU": 40.0}))
    lines, _ = printed(tmp_path)
    assert lines[0] == "| System | de-en (TER ↓) | nl-en (BLEU) | average | parameters |"
    assert lines[2] == "| transformer | 40.00 | 40.00 | — | 49.98M |"


def test_translations_and_predictions_are_not_in_one_table(labelled, printed):
    file = put(labelled, make_result("plain"))
    with pytest.raises(SystemExit, match="its task is translation, not sentence_prediction"):
        printed(labelled, file, *VALID)


# Metrics


@pytest.fixture
def mixed(tmp_path) -> Path:
    """Results in TER, BLEU and chrF++, and in BLEU and TER."""
    first = in_metrics(make_result(), {"TER": 40.0, "BLEU": 30.0, "chrF++": 50.0})
    put(tmp_path, first)
    put(tmp_path, in_metrics(make_result("x"), {"BLEU": 31.0, "TER": 38.04}))
    return tmp_path


def test_the_metrics_that_all_results_have_are_shown(mixed, printed):
    lines, _ = printed(mixed, "--csv", mixed / "x.csv")
    assert lines[0].startswith("| System | TER ↓ | p | BLEU | p | updates |")
    assert lines[2].startswith("| transformer | 40.0 |  | 30.0 |  |")
    assert lines[3].startswith("| x | 38.0 (-2.0) | — | 31.0 (+1.0) | — |")
    assert lines[5:7] == [
        f"- TER (lower is better): `{SIGNATURES['TER']}`",
        f"- BLEU: `{SIGNATURES['BLEU']}`",
    ]
    rows = list(csv.DictReader(read_lines(mixed / "x.csv")))
    assert [row["metric"] for row in rows] == ["TER", "BLEU"] * 2
    assert [row["signature"] for row in rows[:2]] == [SIGNATURES["TER"], SIGNATURES["BLEU"]]


def test_one_metric_is_chosen_and_drawn(mixed, printed, figures):
    lines, _ = printed(mixed, "--metric", "TER", "--plot", mixed / "x.png")
    assert lines[0].startswith("| System | TER ↓ | p | updates |")
    assert figures[0].axes[0].get_ylabel() == "TER (edits per 100 words), test"


def test_several_data_sets_are_shown_in_the_primary_metric(mixed, printed):
    put(mixed, in_metrics(make_result(dataset="nl-en"), {"TER": 50.0}))
    lines, _ = printed(mixed)
    assert lines[2] == "| transformer | 40.00 | 50.00 | 45.00 | 49.98M |"


@pytest.mark.parametrize("command", [["table"], ["plot", "bleu", "--plot=new.png"]], ids=" ".join)
def test_a_metric_that_a_result_lacks_is_refused(mixed, command, monkeypatch):
    monkeypatch.chdir(mixed)
    with pytest.raises(SystemExit, match="it has no chrF.*: evaluate it again with --metrics$"):
        main([*command, ".", "--metric", "chrF++"])
    assert not Path("new.png").exists()


def test_results_without_a_common_metric_are_refused(mixed):
    put(mixed, in_metrics(make_result("y"), {"chrF": 50.0}))
    with pytest.raises(SystemExit, match="no metric in common: evaluate them again with --metrics"):
        main(["table", str(mixed)])


@pytest.mark.parametrize(
    "seconds, expected",
    [(4.4, "0:04"), (59.6, "1:00"), (3599.4, "59:59"), (3599.6, "1:00:00"), (90000, "25:00:00")],
)
def test_duration(seconds, expected):
    assert markdown.duration(seconds) == expected


# Files


@pytest.fixture
def paper(tmp_path) -> Path:
    """A published number."""
    scores = "{transformer: {parameters: 50M, scores: {ar-en: 28.62}}}"
    (tmp_path / "paper.yaml").write_text(f"{{source: S, metric: BLEU, systems: {scores}}}")
    return tmp_path / "paper.yaml"


def test_csv_has_a_row_for_every_cell(grid, printed, paper, tmp_path):
    path = tmp_path / "table.csv"
    printed(grid, "--csv", path, "--paper", paper)
    rows = {(row["system"], row["dataset"]): row for row in csv.DictReader(read_lines(path))}
    assert len(rows) == 2 * (3 + 1)
    assert rows["transformer", "ar-en"] == {
        "system": "transformer",
        "dataset": "ar-en",
        "metric": "BLEU",
        "n": "2",
        "seeds": "1 2",
        "mean": "29.5",
        "sd": str(0.5**0.5),
        "p_value": "",
        "baseline": "transformer",
        "paper": "28.62",
        "difference": "0.88",
        "parameters": "49976832",
        "updates": "4500.0",
        "training_seconds": "754.6",
        "subset": "test",
        "beam": "5",
        "lenpen": "1.0",
        "limit_of_length": "200 pieces, or twice the source",
        "cut_hypotheses": "0",
        "signature": SIGNATURES["BLEU"],
    }
    assert rows["intra_x", "ar-en"]["p_value"] == "0.02"
    missing = rows["intra_x", "pl-en"]
    assert {name for name, value in missing.items() if value} == {
        *("system", "dataset", "metric", "n", "baseline", "subset", "beam", "lenpen", "signature"),
        "limit_of_length",
    }
    assert missing["n"] == "0"
    average = {"n": "2", "mean": "29.5", "sd": str(0.5**0.5)}
    average |= {"system": "transformer", "dataset": "average", "metric": "BLEU"}
    assert {name: text for name, text in rows["transformer", "average"].items() if text} == average
    assert rows["intra_x", "average"]["n"] == "0" and rows["intra_x", "average"]["mean"] == ""

    printed(grid, "--csv", path, "--datasets", "ar-en")
    metrics = [row["metric"] for row in csv.DictReader(read_lines(path))]
    assert metrics == ["BLEU", "chrF"] * 2


def test_the_picture_shows_what_the_table_does(grid, printed, paper, tmp_path, figures):
    printed(grid, "--plot", tmp_path / "table.png", "--paper", paper)
    (axes,) = figures[0].axes
    transformer, intra_x = axes.containers[1::2]  # each before it holds the error bars
    assert [bar.get_height() for bar in transformer] == [29.5, 37.5, 21.5]
    assert [bar.get_height() for bar in intra_x] == [32.5, 39.0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ar-en", "nl-en", "pl-en"]
    assert axes.get_ylabel() == "BLEU (0–100), test" and axes.get_ylim()[0] == 0
    marker = next(dots for dots in axes.collections if len(dots.get_offsets()) == 3)
    assert marker.get_offsets()[0].tolist() == [-0.2, 28.62]
    legend = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert legend == ["transformer", "intra_x", "paper"]


@pytest.mark.parametrize(
    "options", [[], ["--datasets", "pl-en"], ["--systems", "none,transformer"]]
)
def test_a_picture_is_drawn(grid, printed, tmp_path, options):
    path = tmp_path / "table.png"
    printed(grid, "--plot", path, *options)
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("option", ["--csv=none/x.csv", "--plot=none/x.png", "--paper=none/x.yaml"])
def test_bad_options_end_before_anything_is_compared(option, monkeypatch):
    monkeypatch.setattr(cli_table, "gather", lambda *_: pytest.fail("began"))
    with pytest.raises(SystemExit, match="none"):
        main(["table", "runs", option])
