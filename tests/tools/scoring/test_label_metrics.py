"""Scores of predicted labels: those of scikit-learn and scipy, and what has none."""

import random
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import seqeval.metrics
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seqeval.metrics.sequence_labeling import get_entities

from intra_distill.errors import UserError
from intra_distill.tools.corpora.tagged_text import entities
from intra_distill.tools.scoring.metrics import (
    Answers,
    Classes,
    Numbers,
    Tags,
    Text,
    build_scorers,
    compare,
    scores_of,
    signatures_of,
)

BINARY = Classes(("no", "yes"))
THREE = Classes(("contradiction", "entailment", "neutral"))
OF_BINARY = ["accuracy", "F1", "MCC"]
OF_NUMBERS = ["Pearson", "Spearman"]


def draw(classes: Classes, n: int, seed: int) -> list[str]:
    return random.Random(seed).choices(classes.words, range(1, len(classes.words) + 1), k=n)


def score(kind, name: str, references: Sequence[str], predictions: Sequence[str]) -> float:
    return build_scorers([name], kind, references)[name].score(predictions)


SKLEARN: dict[str, Callable[[list[str], list[str]], float]] = {
    "accuracy": sklearn.metrics.accuracy_score,
    "F1": lambda gold, predicted: sklearn.metrics.f1_score(
        gold, predicted, pos_label="yes", zero_division=0
    ),
    "MCC": sklearn.metrics.matthews_corrcoef,
}


@pytest.mark.parametrize("name", OF_BINARY)
@pytest.mark.parametrize(
    "gold, predicted",
    [
        (draw(BINARY, 300, 1), draw(BINARY, 300, 2)),
        (draw(BINARY, 300, 1), draw(BINARY, 300, 1)),
        (draw(BINARY, 20, 1), ["yes"] * 20),
        (draw(BINARY, 20, 1), ["no"] * 20),
        (["no"] * 9, ["no"] * 9),
        (["no"] * 9, ["yes"] * 9),
        (["yes"] * 9, draw(BINARY, 9, 3)),
        (["yes"], ["yes"]),
    ],
    ids=["random", "right", "all yes", "all no", "no no", "no yes", "gold yes", "one"],
)
def test_scores_of_two_classes_are_those_of_scikit_learn(name, gold, predicted):
    assert score(BINARY, name, gold, predicted) == pytest.approx(
        100 * SKLEARN[name](gold, predicted)
    )


def test_accuracy_of_three_classes_is_that_of_scikit_learn():
    gold, predicted = draw(THREE, 200, 1), draw(THREE, 200, 2)
    expected = 100 * sklearn.metrics.accuracy_score(gold, predicted)
    assert score(THREE, "accuracy", gold, predicted) == pytest.approx(expected)


def as_text(numbers) -> list[str]:
    return [repr(float(number)) for number in numbers]


rng = np.random.default_rng(1)
GOLD = rng.integers(0, 26, 400) / 5  # as in STS-B, with many ties
CLOSE = GOLD + rng.normal(size=400)
SCIPY = {"Pearson": stats.pearsonr, "Spearman": stats.spearmanr}


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize(
    "predicted",
    [
        CLOSE,
        -CLOSE,
        GOLD,
        np.round(CLOSE),  # ties on both sides
        CLOSE * 1e300,
        CLOSE * 1e-300,
        1e6 + CLOSE,
    ],
    ids=["close", "inverse", "equal", "ties", "huge", "tiny", "far"],
)
def test_correlations_are_those_of_scipy(name, predicted):
    expected = 100 * SCIPY[name](predicted / np.abs(predicted).max(), GOLD)[0]
    ours = score(Numbers(), name, as_text(GOLD), as_text(predicted))
    assert ours == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_what_is_constant_correlates_with_nothing(name):
    assert score(Numbers(), name, as_text(GOLD), ["0.1"] * 400) == 0  # scipy: nan
    assert score(Numbers(), name, ["0.1"] * 400, as_text(CLOSE)) == 0
    assert score(Numbers(), name, ["1"], ["2"]) == 0


# Signatures


def test_signatures_name_what_a_score_depends_on():
    version = f"|version:{METRICS_VERSION}"
    gold = ["yes", "no", "no"]
    assert signatures_of(build_scorers(OF_BINARY, BINARY, gold)) == {
        "accuracy": "classes:no,yes|sentences:3" + version,
        "F1": "classes:no,yes|positive:yes|sentences:3" + version,
        "MCC": "classes:no,yes|positive:yes|sentences:3" + version,
    }
    assert signatures_of(build_scorers(OF_NUMBERS, Numbers(), ["1", "2.5"])) == {
        "Pearson": "sentences:2" + version,
        "Spearman": "ties:average|sentences:2" + version,
    }


METRICS_VERSION = __import__("sacrebleu").__version__


# Two systems


def test_resampling_finds_a_real_difference_and_no_other():
    gold = draw(BINARY, 300, 1)
    wrong = {"no": "yes", "yes": "no"}
    worse = [wrong[word] if i % 4 == 0 else word for i, word in enumerate(gold)]
    other = [wrong[word] if i % 4 == 1 else word for i, word in enumerate(gold)]
    scorers = build_scorers(OF_BINARY, BINARY, gold)
    for name, test in compare(gold, worse, scorers).items():
        assert test["p_value"] < 0.01
        assert test["system"]["mean"] == pytest.approx(100)
        assert test["signature"].replace("|bs:1000|seed:12345", "") == scorers[name].signature
    assert all(test["p_value"] > 0.05 for test in compare(worse, other, scorers).values())
    assert all(test["p_value"] == 1 for test in compare(worse, worse, scorers).values())


def test_resampling_of_correlations_is_of_their_scores():
    scorers = build_scorers(OF_NUMBERS, Numbers(), as_text(GOLD))
    close, far = as_text(CLOSE), as_text(1000 + GOLD + 5 * rng.normal(size=400))
    scores = scores_of(scorers, close)
    for name, test in compare(close, far, scorers).items():
        assert test["p_value"] < 0.01
        # in 32 bits, of numbers that are not around 0, these would be off by whole points
        assert test["system"]["mean"] == pytest.approx(scores[name], abs=0.5)
        assert test["baseline"]["mean"] == pytest.approx(scores_of(scorers, far)[name], abs=1)


# What is refused


@pytest.mark.parametrize(
    "name, kind, why",
    [
        ("BLEU", BINARY, "BLEU is a metric of translations, not of classes: choose from accuracy,"),
        ("chrF", Numbers(), "not of numbers: choose from Pearson, Spearman"),
        ("accuracy", Text("en", False, "13a"), "not of translations: choose from BLEU, chrF"),
        ("Pearson", BINARY, "Pearson is a metric of numbers, not of classes"),
        ("accuracy", Numbers(), "accuracy is a metric of classes, not of numbers"),
        ("F1", THREE, "F1 needs 2 classes, not 3: choose from accuracy"),
        ("MCC", Classes(("one",)), "MCC needs 2 classes, not 1"),
    ],
)
def test_a_metric_of_another_kind_is_refused(name, kind, why):
    with pytest.raises(UserError, match=f"^--metrics {name}: .*{why}"):
        build_scorers([name], kind, ["1", "2"])


@pytest.mark.parametrize("name", OF_BINARY)
def test_a_label_that_is_no_class_is_refused(name):
    with pytest.raises(UserError, match="reference 2 is '', none of the classes no, yes"):
        build_scorers([name], BINARY, ["no", ""])
    scorer = build_scorers([name], BINARY, ["no", "no"])[name]
    with pytest.raises(UserError, match="prediction 1 is 'x', none of the classes no, yes"):
        scorer.score(["x", "no"])


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("line", ["", "x", "nan", "-inf", "1e999"])
def test_a_label_that_is_no_number_is_refused(name, line):
    with pytest.raises(UserError, match=f"reference 2 is '{line}', not a finite number"):
        build_scorers([name], Numbers(), ["1", line])
    scorer = build_scorers([name], Numbers(), ["1", "2"])[name]
    with pytest.raises(UserError, match=f"prediction 1 is '{line}', not a finite number"):
        scorer.score([line, "1"])


# Entities


TAGS = Tags(("O", "B-LOC", "B-PER", "I-LOC", "I-PER", "I-x-y"))


@pytest.mark.parametrize(
    "tags, expected",
    [
        ("", []),
        ("O O", []),
        ("B-PER", [("PER", 0, 1)]),
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("O I-PER I-PER", [("PER", 1, 3)]),  # begins without a B-
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
        ("I-PER O I-PER", [("PER", 0, 1), ("PER", 2, 3)]),
        ("I-x-y", [("x-y", 0, 1)]),
    ],
)
def test_entities(tags, expected):
    assert sorted(entities(tags.split()), key=lambda entity: entity[1]) == expected


SENTENCES = st.lists(  # of a gold and a predicted tag for each word
    st.lists(st.tuples(*[st.sampled_from(TAGS.words)] * 2), min_size=1, max_size=8), min_size=1
)


@settings(max_examples=200, deadline=None)
@given(SENTENCES)
def test_entities_and_their_f1_are_those_of_seqeval(sentences):
    gold, predicted = ([[pair[i] for pair in pairs] for pairs in sentences] for i in (0, 1))
    for tags in gold:
        assert entities(tags) == {
            (kind, first, last + 1) for kind, first, last in get_entities(tags)
        }
    lines = ([" ".join(tags) for tags in side] for side in (gold, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a score that is undefined, and counted as 0
        expected = seqeval.metrics.f1_score(gold, predicted)
    assert score(TAGS, "entity-F1", *lines) == pytest.approx(100 * expected)


def test_resampled_entities_are_those_of_the_sentences():
    """Of two systems, the p-value is that of the counts of entities, as of any other metric."""
    gold = ["B-PER I-PER O", "O B-LOC", "I-LOC", "O"] * 20
    plain = ["B-PER O O", "O B-LOC", "I-LOC", "B-PER"] * 20
    scorers = build_scorers(["entity-F1"], TAGS, gold)
    assert scores_of(scorers, plain) == {"entity-F1": pytest.approx(100 * 2 * 40 / (80 + 60))}
    test = compare(gold, plain, scorers)["entity-F1"]
    assert test["p_value"] < 0.01 and test["system"]["mean"] == 100
    signature = "classes:O,B-LOC,B-PER,I-LOC,I-PER,I-x-y|entities:seqeval-default|sentences:80|"
    assert signatures_of(scorers)["entity-F1"].startswith(signature)


@pytest.mark.parametrize(
    "gold, predicted, message",
    [
        (["O O"], ["O"], "a prediction has 1 tags, its reference 2"),
        (["O", "O X"], ["O", "O O"], "in reference 2, tag 2 is 'X', none of the classes B-LOC"),
        (["O", "O O"], ["O", "O Y"], "in prediction 2, tag 2 is 'Y', none of the classes"),
    ],
)
def test_tags_that_do_not_fit_are_refused(gold, predicted, message):
    with pytest.raises(UserError, match=message):
        score(TAGS, "entity-F1", gold, predicted)


# Answers


def test_scores_of_answers_are_means_over_the_questions():
    gold = ['["the Red house", "house"]', '["1 2"]', '["x"]', '["日本"]']
    predicted = ["a red House.", "2 3", "", "日本"]
    assert score(Answers(), "exact-match", gold, predicted) == 50
    assert score(Answers(), "answer-F1", gold, predicted) == pytest.approx(100 * 2.5 / 4)
    scorers = build_scorers(["answer-F1", "exact-match"], Answers(), gold * 5)
    tests = compare(["y"] * 20, predicted * 5, scorers)
    assert all(test["p_value"] < 0.05 for test in tests.values())
    assert tests["exact-match"]["baseline"]["mean"] == pytest.approx(50, abs=1.5)
    for signature in signatures_of(scorers).values():
        assert signature.startswith("normalisation:SQuAD-v1.1-English|sentences:20|")


@pytest.mark.parametrize(
    "line", ["x", "[]", '"x"', "[1]", "[null]", "{}", "[" * 100_000, "9" * 5_000, ""]
)
def test_a_reference_that_is_no_list_of_answers_is_refused(line):
    with pytest.raises(
        UserError, match="reference 2 is '.*', not a JSON list of answers"
    ) as refused:
        build_scorers(["answer-F1"], Answers(), ['["x"]', line])
    assert len(str(refused.value)) < 200
