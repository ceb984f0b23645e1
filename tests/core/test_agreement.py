"""Scores from sums, against scikit-learn and scipy on random predictions."""

import pytest
import torch
from scipy import stats
from sklearn import metrics

from intra_distill.core.agreement import class_counts, number_sums, scores


def floats(sums):
    return {name: float(value) for name, value in sums.items()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_classes", [2, 3])
def test_scores_of_classes(seed, num_classes):
    random = torch.Generator().manual_seed(seed)
    gold = torch.randint(num_classes, (101,), generator=random)
    predicted = torch.where(
        torch.rand(101, generator=random) < 0.6,
        gold,
        torch.randint(num_classes, (101,), generator=random),
    )
    expected = {"accuracy": metrics.accuracy_score(gold, predicted)}
    if num_classes == 2:
        expected["f1"] = metrics.f1_score(gold, predicted)
        expected["mcc"] = metrics.matthews_corrcoef(gold, predicted)
    ours = scores(floats(class_counts(predicted, gold, num_classes)))
    assert ours == pytest.approx({name: 100 * value for name, value in expected.items()})


@pytest.mark.parametrize("seed", range(5))
def test_the_score_of_numbers(seed):
    random = torch.Generator().manual_seed(seed)
    gold = 5 * torch.rand(101, generator=random)
    predicted = gold + torch.randn(101, generator=random)
    ours = scores(floats(number_sums(predicted, gold)))
    assert ours == {"pearson": pytest.approx(100 * stats.pearsonr(predicted, gold).statistic)}


def test_sums_of_parts_are_the_sums_of_the_whole():
    random = torch.Generator().manual_seed(1)
    gold, predicted = torch.randint(2, (2, 60), generator=random)
    x, y = torch.rand(2, 60, generator=random)
    for whole, parts in (
        (
            class_counts(predicted, gold, 2),
            [class_counts(predicted[i::3], gold[i::3], 2) for i in range(3)],
        ),
        (number_sums(x, y), [number_sums(x[i::3], y[i::3]) for i in range(3)]),
    ):
        added = {name: sum(float(part[name]) for part in parts) for name in whole}
        assert added == pytest.approx(floats(whole), rel=1e-15)


@pytest.mark.parametrize(
    ("predicted", "gold"),
    [([0, 0, 0], [0, 0, 0]), ([1, 1, 1], [1, 1, 1]), ([1, 1, 1], [0, 0, 0]), ([0, 0], [0, 1])],
)
def test_what_is_undefined_is_0(predicted, gold):
    ours = scores(floats(class_counts(torch.tensor(predicted), torch.tensor(gold), 2)))
    assert ours["mcc"] == 0
    assert ours["f1"] == 100 * metrics.f1_score(gold, predicted, zero_division=0)


@pytest.mark.parametrize("constant", [0.0, 3.7])
def test_constant_numbers_correlate_with_nothing(constant):
    sums = floats(number_sums(torch.full((7,), constant), torch.arange(7.0)))
    assert scores(sums)["pearson"] == pytest.approx(0, abs=1e-5)
    assert scores(dict.fromkeys(sums, 0.0)) == {"pearson": 0.0}


def test_counts_of_a_large_data_set_do_not_overflow():
    counts = {"correct": 3e9, "total": 4e9, "tp": 2e9, "fp": 5e8, "fn": 5e8, "tn": 1e9}
    assert scores(counts) == pytest.approx({"accuracy": 75, "f1": 80, "mcc": 100 * 7 / 15})
